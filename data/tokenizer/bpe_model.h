// Byte-pair encoding proper: one stretch of text to ids by merging neighbours, best merge first. What happens to the
// text before and after is in tokenizer_stages.h.
//
// Sources: Sennrich et al., ACL 2016; the order of merges and the rules for unknown characters follow Hugging Face's
// `tokenizers` (models/bpe).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qad {

struct BpeOptions {
  std::string unk_token;       ///< empty: characters without a token are left out
  bool fuse_unk = false;       ///< neighbouring unknown characters share one unknown token
  bool byte_fallback = false;  ///< an unknown character becomes the tokens <0x00> … <0xFF> of its bytes
  bool ignore_merges = false;  ///< a stretch that is a token itself is not merged at all
};

class BpeModel {
 public:
  using Vocabulary = std::unordered_map<std::string, std::int32_t>;

  BpeModel(Vocabulary vocabulary, BpeOptions options, std::string who);

  /// The pair left, right may be merged; a lower rank goes first. Throws when the merge is not made of tokens.
  void add_merge(std::string_view left, std::string_view right, std::int32_t rank);

  /// Appends the ids of valid UTF-8 text. O(n log n).
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const;

  [[nodiscard]] std::optional<std::int32_t> find(const std::string& token) const;
  [[nodiscard]] const Vocabulary& vocabulary() const { return vocabulary_; }
  [[nodiscard]] std::optional<std::int32_t> unk() const { return unk_; }

 private:
  struct Merge {
    std::int32_t rank, id;
  };
  [[nodiscard]] std::vector<std::int32_t> characters(std::string_view text) const;
  [[nodiscard]] const Merge* find_merge(std::int32_t left, std::int32_t right) const;
  void merge(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::string who_;
  std::optional<std::int32_t> unk_;
  std::vector<std::int32_t> ascii_;  ///< id of each one-byte character, -1 without
  std::vector<std::int32_t> bytes_;  ///< ids of <0x00> … <0xFF>, -1 without
  std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace qad
