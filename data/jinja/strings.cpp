#include "data/jinja/strings.h"

#include <fmt/format.h>

#include <cmath>

#include "data/jinja/failure.h"
#include "data/utf8.h"

namespace qad::jinja {
namespace {

/// str.isspace counts the four separators of ASCII too.
bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

void require_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80)
      throw Failure{"ASCII text where letters change their case", '\'' + std::string(text.substr(0, 40)) + '\''};
}

}  // namespace

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side) {
  const auto goes = [&](std::string_view character) {
    std::size_t at = 0;
    if (!chars) return is_space(next_code_point(character, at));
    return chars->find(character) != std::string_view::npos;  // whole characters of UTF-8 match only each other
  };
  while (side != Side::right && !text.empty()) {
    const std::size_t size = utf8_length(text.front());
    if (!goes(text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  while (side != Side::left && !text.empty()) {
    std::size_t begin = text.size() - 1;
    while ((static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    if (!goes(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator, std::int64_t most) {
  std::vector<std::string> parts;
  const auto may_cut = [&] { return most < 0 || static_cast<std::int64_t>(parts.size()) < most; };
  if (separator) {
    for (std::size_t cut = 0; may_cut() && (cut = text.find(*separator)) != std::string_view::npos;) {
      parts.emplace_back(text.substr(0, cut));
      text.remove_prefix(cut + separator->size());
    }
    parts.emplace_back(text);
    return parts;
  }
  for (text = strip(text, std::nullopt, Side::left); !text.empty(); text = strip(text, std::nullopt, Side::left)) {
    if (!may_cut()) {
      parts.emplace_back(text);  // with the white space that ends it
      break;
    }
    std::size_t end = 0;
    for (std::size_t next = 0; end < text.size() && !is_space(next_code_point(text, next)); end = next) continue;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

std::string replaced(std::string_view text, std::string_view old, std::string_view with, std::int64_t most) {
  if (old.empty()) throw Failure{"a text to replace", "an empty one"};
  std::string out;
  for (std::size_t cut = 0; most != 0 && (cut = text.find(old)) != std::string_view::npos; --most) {
    out.append(text.substr(0, cut)).append(with);
    text.remove_prefix(cut + old.size());
  }
  return out.append(text);
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at]))
    all.emplace_back(text.substr(at, utf8_length(text[at])));
  return all;
}

std::int64_t length(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

std::string lower(std::string_view text) {
  require_ascii(text);
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::string upper(std::string_view text) {
  require_ascii(text);
  std::string out(text);
  for (char& c : out) c = to_upper(c);
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out = lower(text);
  if (!out.empty()) out[0] = to_upper(out[0]);
  return out;
}

std::string title(std::string_view text) {
  std::string out = lower(text);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (i == 0 || !is_letter(out[i - 1])) out[i] = to_upper(out[i]);
  return out;
}

std::string python_quoted(std::string_view text) {
  const bool single = text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c == '\\' || c == static_cast<char32_t>(quote)) out.append(1, '\\').append(1, static_cast<char>(c));
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad)
      out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c));
    else out.append(text.substr(begin, at - begin));
  }
  return out + quote;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.append(1, '\\').append(1, c);
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (c == '\b') out += "\\b";
    else if (c == '\f') out += "\\f";
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + '"';
}

std::string shortest(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace qad::jinja
