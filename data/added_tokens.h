// Tokens that are found in the text before anything else is done with it: <|endoftext|> and its like.
// The rules are those of Hugging Face's `tokenizers` (added_vocabulary.rs).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/regex.h"

namespace qad {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false;      ///< left out of decoded text on request
  bool single_word = false;  ///< only where no letter or digit touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and after it
  bool normalized = false;   ///< looked for in the normalized text
};

/// A stretch of text: an added token (id at least 0) or text between them (id is -1).
struct Stretch {
  std::string_view text;
  std::int32_t id = -1;
};

/// Looks for a set of tokens at once: the leftmost match wins, among those the longest.
class AddedTokens {
 public:
  /// `pattern` is what stands in the text: the token's content, or its normal form.
  void add(const AddedToken& token, std::string pattern);
  [[nodiscard]] bool empty() const { return tokens_.empty(); }
  [[nodiscard]] std::vector<Stretch> split(std::string_view text) const;

 private:
  [[nodiscard]] const AddedToken* match_at(std::string_view text, std::size_t at, std::size_t& length) const;

  std::unordered_map<std::string, AddedToken> tokens_;
  std::array<std::vector<std::size_t>, 256> lengths_;  ///< by first byte, longest first
};

}  // namespace qad
