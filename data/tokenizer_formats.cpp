// Readers of the smaller tokenizer formats: GPT-2's pair of files, llama2.c's binary, and the one without a file.
#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/bpe_tokenizer.h"
#include "data/json_file.h"
#include "data/utf8.h"

namespace qad {
namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> read_gpt2_pair(const fs::path& vocab, const fs::path& merges) {
  const std::string vocab_text = read_file(vocab, "a vocabulary"), merge_text = read_file(merges, "a list of merges");
  check_utf8(merge_text, merges.string());
  // The pair means what this tokenizer.json would say.
  nlohmann::json root;
  root["model"] = {
      {"type", "BPE"}, {"vocab", parse_json(vocab_text, vocab.string())}, {"merges", nlohmann::json::array()}};
  for (std::size_t at = 0; at < merge_text.size();) {
    const std::size_t end = std::min(merge_text.find('\n', at), merge_text.size());
    const std::string line = merge_text.substr(at, end - at - (end > at && merge_text[end - 1] == '\r' ? 1 : 0));
    if (!line.empty() && !(at == 0 && line.starts_with("#version"))) root["model"]["merges"].push_back(line);
    at = end + 1;
  }
  root["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  root["decoder"] = {{"type", "ByteLevel"}};
  constexpr const char* kEnd = "<|endoftext|>";
  const bool has_end = root["model"]["vocab"].contains(kEnd);
  if (has_end)
    root["added_tokens"].push_back({{"id", root["model"]["vocab"][kEnd]}, {"content", kEnd}, {"special", true}});
  BpeTokenizerParts parts = parse_tokenizer_json(root.dump(), vocab.string());
  if (has_end) parts.bos = parts.eos = parts.added_tokens.front().id;
  parts.files = {{"vocab.json", vocab_text}, {"merges.txt", merge_text}};
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

namespace {

struct ScoredToken {
  float score;
  std::string text;
};

std::vector<ScoredToken> read_scored_tokens(const std::string& bytes, const std::string& who) {
  static_assert(std::endian::native == std::endian::little, "the file is little-endian");
  std::size_t at = 4;  // the length of the longest token comes first
  std::vector<ScoredToken> tokens;
  while (at < bytes.size()) {
    float score = 0;
    std::int32_t length = -1;
    if (at + 8 <= bytes.size()) {
      std::memcpy(&score, bytes.data() + at, 4);
      std::memcpy(&length, bytes.data() + at + 4, 4);
    }
    at += 8;
    if (length < 0 || at + static_cast<std::size_t>(length) > bytes.size())
      throw Error(
          {who, "a whole tokenizer.bin of llama2.c", "a token that ends beyond the file", "is the file cut off?"});
    tokens.push_back({score, bytes.substr(at, static_cast<std::size_t>(length))});
    check_utf8(tokens.back().text, who, at);
    at += static_cast<std::size_t>(length);
  }
  if (tokens.size() < 259)
    throw Error({who, "at least 259 tokens: unk, bos, eos and the bytes", std::to_string(tokens.size()), ""});
  return tokens;
}

}  // namespace

std::unique_ptr<Tokenizer> read_llama2c(const fs::path& file) {
  const std::string contents = read_file(file, "a tokenizer");
  const std::vector<ScoredToken> tokens = read_scored_tokens(contents, file.string());
  constexpr std::int32_t kUnk = 0, kBos = 1, kEos = 2;  // sentencepiece's order
  BpeModel::Vocabulary vocabulary;
  std::vector<float> scores;
  for (const ScoredToken& token : tokens) {
    vocabulary.emplace(token.text, static_cast<std::int32_t>(vocabulary.size()));
    scores.push_back(token.score);
  }
  if (vocabulary.size() != tokens.size())
    throw Error({file.string(), "different tokens", "one that is there twice", ""});
  BpeModel model(vocabulary, {.unk_token = tokens[kUnk].text, .byte_fallback = true}, file.string());
  std::sort(scores.begin(), scores.end(), std::greater<>());
  for (const ScoredToken& token : tokens) {
    const auto rank = std::lower_bound(scores.begin(), scores.end(), token.score, std::greater<>()) - scores.begin();
    for (std::size_t cut = 1; cut < token.text.size(); ++cut) {
      const std::string left = token.text.substr(0, cut), right = token.text.substr(cut);
      if (vocabulary.contains(left) && vocabulary.contains(right))
        model.add_merge(left, right, static_cast<std::int32_t>(rank));
    }
  }
  BpeTokenizerParts parts(std::move(model));
  parts.normalizer = {prepend_step(" ")};
  parts.decoder = {byte_fallback_decoder(), fuse_decoder(), strip_decoder(" ", 1, 0)};
  parts.bos = kBos;
  parts.eos = kEos;
  parts.prefix = {kBos};
  parts.files = {{"tokenizer.bin", contents}};
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

namespace {

/// A tokenizer.json that other tools read as well; the vocabulary goes in below.
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
  parts.files = {{"tokenizer.json", contents}, {"tokenizer_config.json", std::string(kByteTokenizerConfig) + '\n'}};
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
