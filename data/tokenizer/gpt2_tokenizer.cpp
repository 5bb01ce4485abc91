// GPT-2's pair of files, vocab.json and merges.txt, read as transformers reads a folder with these and no
// tokenizer.json: as one of the classes of bytes, which bring the stages that the files don't tell (tokenizer_class.h).
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "data/files/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_class.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/tokenizer/tokens_beside.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

constexpr const char* kEnd = "<|endoftext|>";
constexpr auto kOfBytes =
    std::to_array<std::string_view>({"GPT2Tokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer", "Qwen3_5Tokenizer"});

Json merges_in(const std::string& text) {
  Json merges = Json::array();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at - (end > at && text[end - 1] == '\r' ? 1 : 0));
    if (!line.empty()) merges.push_back(line);
    at = end + 1;
  }
  return merges;
}

}  // namespace

std::unique_ptr<Tokenizer> read_gpt2_pair(const fs::path& vocab, const fs::path& merges) {
  const std::string vocab_text = read_file(vocab, "a vocabulary"), merge_text = read_file(merges, "a list of merges");
  check_utf8(merge_text, merges.string());
  const fs::path folder = vocab.parent_path();
  TokensBeside beside = read_tokens_beside(folder, {});
  const bool unnamed = beside.tokenizer_class.empty();
  if (unnamed) beside.tokenizer_class = "GPT2Tokenizer";
  const std::string& kind = beside.tokenizer_class;
  if (std::ranges::find(kOfBytes, kind) == kOfBytes.end())
    throw Error({.who = folder.string(),
                 .expected = "tokenizer_class GPT2Tokenizer, GPTNeoXTokenizer, Qwen2Tokenizer or Qwen3_5Tokenizer "
                             "beside vocab.json and merges.txt",
                 .got = kind,
                 .hint = "save it with transformers as a tokenizer.json"});

  // The pair means what this tokenizer.json would say.
  Json root;
  root["model"] = {
      {"type", "BPE"}, {"vocab", parse_json(vocab_text, vocab.string())}, {"merges", merges_in(merge_text)}};
  root.update(stages_of_class(beside));
  BpeTokenizerParts parts = parse_tokenizer_json(root.dump(), vocab.string());
  const auto special = [](const std::string& content) { return AddedToken{.content = content, .special = true}; };
  const bool nothing_said = unnamed && beside.named.empty() && parts.model.find(kEnd).has_value();
  if (nothing_said) parts.add(std::vector{special(kEnd)});
  add_tokens_beside(beside, parts);
  if (nothing_said) parts.bos = parts.eos = parts.id_of(kEnd);
  if (beside.add_bos == true && !beside.of("bos_token").empty()) parts.prefix = {*parts.bos};
  if (beside.add_eos == true && !beside.of("eos_token").empty()) parts.suffix = {*parts.eos};
  parts.files = {{kVocabJson, vocab_text}, {kMergesText, merge_text}};
  add_tokenizer_files(folder, parts.files);
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
