// The tokenizer without a file: an id for each byte, one that starts and one that ends a text.
#include <nlohmann/json.hpp>

#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"

namespace qad {
namespace {

// A tokenizer.json that other tools read as well; the vocabulary goes in below.
constexpr const char* kByteTokenizer = R"({
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [
    {"id": 256, "content": "<|startoftext|>", "special": true, "normalized": false,
     "single_word": false, "lstrip": false, "rstrip": false},
    {"id": 257, "content": "<|endoftext|>", "special": true, "normalized": false,
     "single_word": false, "lstrip": false, "rstrip": false}
  ],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
  "post_processor": {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|startoftext|>": {"id": "<|startoftext|>", "ids": [256], "tokens": ["<|startoftext|>"]}}
  },
  "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {}, "merges": []}
})";
constexpr const char* kByteTokenizerConfig =
    R"({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"})";

}  // namespace

std::unique_ptr<Tokenizer> make_byte_tokenizer() {
  nlohmann::ordered_json root = nlohmann::ordered_json::parse(kByteTokenizer);
  for (int byte = 0; byte < 256; ++byte)
    root["model"]["vocab"][byte_character(static_cast<unsigned char>(byte))] = byte;
  const std::string contents = root.dump(1) + '\n';
  BpeTokenizerParts parts = parse_tokenizer_json(contents, "bytes");
  parts.bos = 256;
  parts.eos = 257;
  parts.files = {{kTokenizerJson, contents}, {kTokenizerConfig, std::string(kByteTokenizerConfig) + '\n'}};
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
