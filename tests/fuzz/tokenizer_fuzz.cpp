// libFuzzer: any bytes as a tokenizer.json make a tokenizer that encodes and decodes, or are refused by an Error.
#include "autograd/base/error.h"
#include "data/tokenizer/bpe_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string contents(reinterpret_cast<const char*>(data), size);
    const qad::BpeTokenizer tokenizer(qad::parse_tokenizer_json(contents, "fuzz"));
    const auto ids = tokenizer.encode("A fox, 42 keys\nand caf\u00e9s \u6f22\U0001f642", true);
    static_cast<void>(tokenizer.decode(ids, false));
  } catch (const qad::Error&) {
  }
  return 0;
}
