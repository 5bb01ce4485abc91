// llama2.c's tokenizer.bin: the tokens of a SentencePiece model with their scores. Neighbours merge whose union is a
// token, best score first. The tokenizer.json that says the same goes with it, for programs that read no tokenizer.bin.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/warn_once.h"
#include "data/files/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::int32_t kUnk = 0, kBos = 1, kEos = 2;  // sentencepiece's order
constexpr std::size_t kLongestToken = 1024;

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
    if (!std::isfinite(score) || static_cast<std::size_t>(length) > kLongestToken)
      throw Error({.who = who,
                   .expected = fmt::format("tokens of at most {} bytes with a finite score", kLongestToken),
                   .got = fmt::format("{} bytes, score {}", length, score),
                   .hint = "is this a tokenizer.bin of llama2.c?"});
    tokens.push_back({score, bytes.substr(at, static_cast<std::size_t>(length))});
    check_utf8(tokens.back().text, who, at);
    at += static_cast<std::size_t>(length);
  }
  if (tokens.size() < 259)
    throw Error({.who = who,
                 .expected = "at least 259 tokens: unk, bos, eos and the bytes",
                 .got = std::to_string(tokens.size())});
  return tokens;
}

struct ScoredMerge {
  std::string left, right;
  float score;
};

std::vector<ScoredMerge> merges_of(const std::vector<ScoredToken>& tokens, const BpeModel::Vocabulary& vocabulary) {
  std::vector<ScoredMerge> merges;
  for (const ScoredToken& token : tokens)
    for (std::size_t cut = 1; cut < token.text.size(); ++cut) {
      std::string left = token.text.substr(0, cut), right = token.text.substr(cut);
      if (vocabulary.contains(left) && vocabulary.contains(right))
        merges.push_back({std::move(left), std::move(right), token.score});
    }
  std::ranges::stable_sort(merges, std::ranges::greater(), &ScoredMerge::score);
  return merges;
}

// In a tokenizer.json every merge has a rank of its own, so it can't say that two tokens have one score.
bool scores_differ(const std::vector<ScoredMerge>& merges) {
  for (std::size_t i = 1; i < merges.size(); ++i)
    if (merges[i - 1].score == merges[i].score &&
        merges[i - 1].left + merges[i - 1].right != merges[i].left + merges[i].right)
      return false;
  return true;
}

NamedFiles as_tokenizer_json(const std::vector<ScoredToken>& tokens, const std::vector<ScoredMerge>& merges) {
  using OrderedJson = nlohmann::ordered_json;
  const std::string& bos = tokens[kBos].text;
  const std::string& eos = tokens[kEos].text;
  const auto special = [](std::int32_t id, const std::string& content) {
    return OrderedJson{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                       {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const OrderedJson text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                    pair = {{"Sequence", {{"id", "B"}, {"type_id", 0}}}};
  const OrderedJson start = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  OrderedJson root;
  root["version"] = "1.0";
  root["truncation"] = root["padding"] = nullptr;
  root["added_tokens"] = {special(kBos, bos), special(kEos, eos)};
  root["normalizer"] = {{"type", "Prepend"}, {"prepend", " "}};
  root["pre_tokenizer"] = nullptr;
  root["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {start, text}},
                            {"pair", {start, text, pair}},
                            {"special_tokens", {{bos, {{"id", bos}, {"ids", {kBos}}, {"tokens", {bos}}}}}}};
  root["decoder"] = {{"type", "Sequence"},
                     {"decoders",
                      {{{"type", "ByteFallback"}},
                       {{"type", "Fuse"}},
                       {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", tokens[kUnk].text},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", true},
                   {"ignore_merges", false},
                   {"vocab", OrderedJson::object()},
                   {"merges", OrderedJson::array()}};
  for (std::size_t id = 0; id < tokens.size(); ++id) root["model"]["vocab"][tokens[id].text] = id;
  for (const ScoredMerge& merge : merges) root["model"]["merges"].push_back({merge.left, merge.right});
  const OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"bos_token", bos}, {"eos_token", eos}};
  return {{kTokenizerJson, root.dump(1) + "\n"}, {kTokenizerConfig, config.dump(1) + "\n"}};
}

}  // namespace

std::unique_ptr<Tokenizer> read_llama2c(const fs::path& file) {
  const std::string contents = read_file(file, "a tokenizer");
  const std::vector<ScoredToken> tokens = read_scored_tokens(contents, file.string());
  BpeModel::Vocabulary vocabulary;
  for (const ScoredToken& token : tokens)
    if (!vocabulary.emplace(token.text, static_cast<std::int32_t>(vocabulary.size())).second)
      throw Error({.who = file.string(), .expected = "different tokens", .got = "one that is there twice"});
  const std::vector<ScoredMerge> merges = merges_of(tokens, vocabulary);
  BpeModel model(std::move(vocabulary), {.unk_token = tokens[kUnk].text, .byte_fallback = true}, file.string());
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (i > 0 && merges[i].score != merges[i - 1].score) ++rank;
    model.add_merge(merges[i].left, merges[i].right, rank);
  }
  BpeTokenizerParts parts(std::move(model));
  parts.who = file.string();
  parts.normalizer = {prepend_step(" ")};
  parts.decoder = {byte_fallback_decoder(), fuse_decoder(), strip_decoder(" ", 1, 0)};
  parts.add(std::vector<AddedToken>{{.content = tokens[kBos].text, .special = true},
                                    {.content = tokens[kEos].text, .special = true}});
  parts.bos = kBos;
  parts.eos = kEos;
  parts.prefix = {kBos};
  parts.files = {{kLlama2cTokenizer, contents}};
  if (scores_differ(merges)) {
    for (auto& named : as_tokenizer_json(tokens, merges)) parts.files.push_back(std::move(named));
  } else {
    warn_once(fmt::format("{}: tokens of one score, which a tokenizer.json can't say: none goes along", file.string()));
  }
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
