// libFuzzer: any bytes as a chat template lay a conversation out, or are refused by an Error, in one line and within
// the limits of time and memory that scripts/fuzz sets. Half of the inputs are templates of a grammar.
#include <cstdlib>

#include "autograd/base/error.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/json.h"
#include "data/jinja/parser.h"
#include "tests/fuzz/template_grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bool by_grammar = size > 0 && data[0] >= 128;
  const std::string source = by_grammar ? qad::TemplateGrammar(data + 1, size - 1).whole()
                                        : std::string(reinterpret_cast<const char*>(data), size);
  try {
    static const qad::jinja::Value variables = qad::jinja::read_json(
        R"({"messages": [{"role": "user", "content": "Caf\u00e9?", "n": 12345678901234567890123},
            {"role": "assistant", "content": "\ud83d\ude42 yes", "a": {"b": [1, null, {"c": -0.0}]}}],
            "add_generation_prompt": true, "bos_token": "<s>"})",
        "fuzz");
    qad::jinja::Environment environment{"fuzz", *variables.dict(), "2025-03-09", {}};
    environment.limits.steps = 100'000;  // sanitizers are slow
    environment.limits.bytes = 16 << 20;
    static_cast<void>(qad::jinja::run_template(qad::jinja::parse_template(source, "fuzz"), environment));
  } catch (const qad::Error& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
