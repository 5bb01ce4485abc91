// What the small files beside a tokenizer's own say of its tokens: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, and config.json for the class and, by id, start and end token. Which file goes before which, what
// flags a token gets and in which order they are added is as transformers does it when it opens such a folder
// (AutoTokenizer of 5.24: tokenization_utils_base.py, tokenization_utils_tokenizers.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/added_tokens.h"

namespace qad {

/// What the tokenizer's own file says, where it may say it.
struct TokenizerFileFacts {
  std::vector<std::pair<std::int64_t, AddedToken>> added;  ///< with the ids that it names
  std::optional<std::string> pad;                          ///< of its padding
  bool byte_level = false;
};

struct TokensBeside {
  std::string tokenizer_class;     ///< that transformers takes, without Fast; empty: any tokenizer.json's
  std::vector<AddedToken> tokens;  ///< to be added to the file's own, in this order
  /// Names and contents, as chat templates know them: roles such as bos_token, then names of the folder's own. A
  /// content may be empty, which is no token.
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<std::string> special;          ///< all that are named special, in order
  std::map<std::string, std::int32_t> ids;   ///< of bos_token and eos_token, as config.json has them
  std::map<std::string, std::int64_t> said;  ///< content and the id that a file gives it
  std::optional<bool> add_bos, add_eos;
  std::optional<bool> add_prefix_space;
  bool split_special = false;  ///< special tokens in a text are text

  /// Content by name; empty where no token has it.
  [[nodiscard]] std::string of(std::string_view name) const;
};

/// Throws Error, naming file and key, for what has another type.
[[nodiscard]] TokensBeside read_tokens_beside(const std::filesystem::path& folder, const TokenizerFileFacts& file);
/// With what the folder's tokenizer.json says, if it has one.
[[nodiscard]] TokensBeside read_tokens_beside(const std::filesystem::path& folder);

}  // namespace qad
