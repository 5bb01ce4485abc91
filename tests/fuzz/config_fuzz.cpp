// libFuzzer: any bytes as a config.json are a model's config that can be written and read again, or are refused by an
// Error.
#include <cstdlib>

#include "autograd/base/error.h"
#include "models/families/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const qad::ModelConfig config =
        qad::parse_hf_config(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    const std::string text = qad::to_hf_config(config, "bfloat16");
    if (qad::to_hf_config(qad::parse_hf_config(text, "written"), "bfloat16") != text) std::abort();
  } catch (const qad::Error&) {
  }
  return 0;
}
