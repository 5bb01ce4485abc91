// Tokens that are found in the text before anything else is done with it: <|endoftext|> and its like.
// The rules are those of Hugging Face's `tokenizers` (added_vocabulary.rs).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/tokenizer/regex.h"

namespace qad {

struct AddedToken {
  std::string content;
  bool special = false;      ///< left out of decoded text on request
  bool single_word = false;  ///< only where no letter or digit touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalized text

  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

/// Which id an added token has: its own in the tokenizer's vocabulary, or the next one that is free. What files say of
/// ids counts for nothing.
class AddedVocabulary {
 public:
  /// The vocabulary of the tokenizer itself.
  struct Base {
    std::function<std::optional<std::int32_t>(const std::string&)> find;
    std::int64_t size = 0;  ///< tokens in it
  };

  /// Adds tokens in this order, or changes those of the same content. How many come in one call counts: the first free
  /// id is looked for once.
  void add(std::span<const AddedToken> tokens, const Base& base);

  [[nodiscard]] std::optional<std::int32_t> id_of(const std::string& content) const;
  [[nodiscard]] const std::map<std::int32_t, AddedToken>& by_id() const { return by_id_; }
  /// Whether a token of this content was ever added as a special one.
  [[nodiscard]] bool is_special(const std::string& content) const { return special_.contains(content); }

 private:
  std::unordered_map<std::string, std::int32_t> ids_;
  std::map<std::int32_t, AddedToken> by_id_;
  std::unordered_set<std::string> special_;
};

/// A stretch of text: an added token (id at least 0) or text between them (id is -1).
struct Stretch {
  std::string_view text;
  std::int32_t id = -1;
};

/// Looks for a set of tokens at once: the leftmost match wins, among those the longest.
class AddedTokens {
 public:
  /// `pattern` is what stands in the text: the token's content, or its normal form. Of two with one pattern the latter
  /// counts. A token that is `passed_over` hides what else matches there and is left to the text.
  void add(std::int32_t id, const AddedToken& token, const std::string& pattern, bool passed_over = false);
  [[nodiscard]] std::vector<Stretch> split(std::string_view text) const;

 private:
  struct Target {
    std::int32_t id;
    AddedToken token;
    bool passed_over;
  };
  struct Node {
    std::map<char, std::int32_t> next;
    std::int32_t target = -1;
  };
  [[nodiscard]] const Target* match_at(std::string_view text, std::size_t at, std::size_t& length) const;

  std::array<std::int32_t, 256> first_ = [] {
    std::array<std::int32_t, 256> none{};
    none.fill(-1);
    return none;
  }();                       ///< by first byte, where its tree begins
  std::vector<Node> nodes_;  ///< patterns as paths
  std::vector<Target> targets_;
};

}  // namespace qad
