// libFuzzer: any bytes as a chat template lay a conversation out, or are refused by an Error.
#include "autograd/core/error.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using qad::jinja::Dict;
  using qad::jinja::List;
  using qad::jinja::Value;
  try {
    const auto message = [](const char* role, const char* content) {
      Dict dict;
      dict.items = {{"role", role}, {"content", content}};
      return Value(std::move(dict));
    };
    qad::jinja::Environment environment;
    environment.who = "fuzz";
    environment.most_steps = 20'000;
    environment.variables.set("messages", List{message("user", "Caf\u00e9?"), message("assistant", "\U0001f642 yes")});
    environment.variables.set("add_generation_prompt", true);
    environment.variables.set("bos_token", "<s>");
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    static_cast<void>(qad::jinja::run_template(qad::jinja::parse_template(source, "fuzz"), environment));
  } catch (const qad::Error&) {
  }
  return 0;
}
