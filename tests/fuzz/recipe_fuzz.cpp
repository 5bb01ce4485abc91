// libFuzzer: any bytes as a recipe are read or refused by an Error, and what was read is written and read back the
// same.
#include "autograd/base/error.h"
#include "qad/recipe/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const std::string resolved = qad::recipe_text(qad::parse_recipe(text, "fuzz"));
    QAD_ASSERT(qad::recipe_text(qad::parse_recipe(resolved, "resolved")) == resolved);
  } catch (const qad::Error&) {
  }
  return 0;
}
