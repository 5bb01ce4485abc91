// UTF-8: validation, code points, white space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qad {

/// Length of the maximal valid UTF-8 prefix; npos when all of it is valid (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] std::size_t find_invalid_utf8(std::string_view text);
/// Throws Error naming `who` and the byte offset, counted from `offset`.
void check_utf8(std::string_view text, std::string_view who, std::size_t offset = 0);
/// In quotes and on one line, for messages: line ends and other control characters are written out.
[[nodiscard]] std::string in_quotes(std::string_view text);
/// Every maximal invalid part becomes U+FFFD.
[[nodiscard]] std::string replace_invalid_utf8(std::string text);

/// Bytes of the character that begins with this byte, in valid text.
[[nodiscard]] constexpr std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}
/// The character at `at` in valid text; moves `at` behind it.
[[nodiscard]] char32_t next_code_point(std::string_view text, std::size_t& at);
void append_utf8(std::string& text, char32_t code_point);

/// Unicode property White_Space.
[[nodiscard]] bool is_white_space(char32_t code_point);
/// How many bytes of white space the text begins and ends with.
[[nodiscard]] std::size_t leading_white_space(std::string_view text);
[[nodiscard]] std::size_t trailing_white_space(std::string_view text);

}  // namespace qad
