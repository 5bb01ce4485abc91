#include "data/files/utf8.h"

#include <cstring>

#include "autograd/base/error.h"

namespace qad {
namespace {

struct Step {
  std::size_t length;  // of the character, or of the maximal invalid part
  bool valid;
};

// The second byte's range depends on the lead (Unicode, table 3-7): it excludes overlong forms and surrogates.
Step step_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const std::size_t length = utf8_length(text[at]);
  unsigned low = 0x80, high = 0xbf;
  if (lead == 0xe0) low = 0xa0;
  else if (lead == 0xed) high = 0x9f;
  else if (lead == 0xf0) low = 0x90;
  else if (lead == 0xf4) high = 0x8f;
  if (byte(1) < low || byte(1) > high) return {1, false};
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xc0u) != 0x80u) return {i, false};
  return {length, true};
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t eight = 0;
    if (at + 8 <= text.size()) std::memcpy(&eight, text.data() + at, 8);
    else eight = ~std::uint64_t{0};
    if ((eight & 0x8080808080808080u) == 0) {
      at += 8;
      continue;
    }
    const Step step = step_at(text, at);
    if (!step.valid) return at;
    at += step.length;
  }
  return std::string_view::npos;
}

void check_utf8(std::string_view text, std::string_view who, std::size_t offset) {
  const std::size_t at = find_invalid_utf8(text);
  if (at == std::string_view::npos) return;
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(text[at]);
  throw Error(
      {std::string(who), "UTF-8 text",
       std::string("byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15] + " at offset " + std::to_string(offset + at),
       "convert the file to UTF-8, for example with iconv"});
}

std::string in_quotes(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string line = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') line += "\\n";
    else if (c == '"' || c == '\\') (line += '\\') += c;
    else if (byte < 0x20 || byte == 0x7f) ((line += "\\x") += kDigits[byte >> 4]) += kDigits[byte & 15];
    else line += c;
  }
  return line + '"';
}

std::string replace_invalid_utf8(std::string text) {
  if (find_invalid_utf8(text) == std::string_view::npos) return text;
  std::string valid;
  for (std::size_t at = 0; at < text.size();) {
    const Step step = step_at(text, at);
    if (step.valid) valid.append(text, at, step.length);
    else valid += "\xef\xbf\xbd";
    at += step.length;
  }
  return valid;
}

char32_t next_code_point(std::string_view text, std::size_t& at) {
  const std::size_t length = utf8_length(text[at]);
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
  char32_t code_point = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) code_point = code_point << 6 | (byte(i) & 0x3fu);
  at += length;
  return code_point;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  const auto tail = [&](int shift) { put(0x80u | (code_point >> shift & 0x3fu)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0u | code_point >> 6), tail(0);
  } else if (code_point < 0x10000) {
    put(0xe0u | code_point >> 12), tail(6), tail(0);
  } else {
    put(0xf0u | code_point >> 18), tail(12), tail(6), tail(0);
  }
}

bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::size_t leading_white_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t next = at;
    if (!is_white_space(next_code_point(text, next))) break;
    at = next;
  }
  return at;
}

std::size_t trailing_white_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0u) == 0x80u) --begin;
    std::size_t next = begin;
    if (!is_white_space(next_code_point(text, next))) break;
    end = begin;
  }
  return text.size() - end;
}

}  // namespace qad
