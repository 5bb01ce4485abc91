#include "data/jinja/letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

struct Shift {
  char32_t first, last, step;
  std::int32_t distance;
};
struct Several {
  char32_t from, to[3];  // zeros at the end are none
};
struct Range {
  char32_t first, last;
};

#include "data/jinja/letters_tables.inc"

// The last row of a table in order that begins at or before `c`; null if none does.
template <class Row, std::size_t size>
const Row* row_at(const Row (&table)[size], char32_t c, char32_t Row::*first) {
  const Row* after = std::ranges::upper_bound(table, c, {}, first);
  return after == std::begin(table) ? nullptr : after - 1;
}

template <std::size_t size>
bool is_in(const Range (&table)[size], char32_t c) {
  const Range* row = row_at(table, c, &Range::first);
  return row != nullptr && c <= row->last;
}

// Appends what a character becomes, if the tables say that it changes.
template <std::size_t shifts, std::size_t severals>
bool change(const Shift (&shift)[shifts], const Several (&several)[severals], char32_t c, std::string& out) {
  if (const Several* row = row_at(several, c, &Several::from); row != nullptr && row->from == c) {
    for (const char32_t part : row->to)
      if (part != 0) append_utf8(out, part);
    return true;
  }
  const Shift* row = row_at(shift, c, &Shift::first);
  if (row == nullptr || c > row->last || (c - row->first) % row->step != 0) return false;
  append_utf8(out, static_cast<char32_t>(static_cast<std::int32_t>(c) + row->distance));
  return true;
}

bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool is_large(char c) { return c >= 'A' && c <= 'Z'; }
bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

using Letter = std::string (*)(char32_t c);

std::string same(char32_t c) {
  std::string out;
  append_utf8(out, c);
  return out;
}

std::string lower_letter(char32_t c) {
  if (c == 0x3a3)
    throw Failure{"text without a capital sigma, whose lower case depends on its place", "'\u03a3'", kPart};
  std::string out;
  return change(kLower, kLowerSeveral, c, out) ? out : same(c);
}

std::string upper_letter(char32_t c) {
  std::string out;
  return change(kUpper, kUpperSeveral, c, out) ? out : same(c);
}

std::string title_letter(char32_t c) {
  std::string out;
  return change(kTitle, kTitleSeveral, c, out) ? out : upper_letter(c);
}

std::string swapped_letter(char32_t c) {
  const std::string low = lower_letter(c), up = upper_letter(c), now = same(c);
  return low == now ? up : up == now ? low : now;
}

// Each character by what `rule` says for its place.
template <class Rule>
void each_letter(std::string_view text, Writer& out, Rule rule) {
  for (std::size_t at = 0; at < text.size();) {
    out.budget().work();
    const char32_t c = next_code_point(text, at);
    const Letter letter = rule(c);
    out.add(letter(c));
  }
}

}  // namespace

void lower(std::string_view text, Writer& out) {
  if (!is_ascii(text)) return each_letter(text, out, [](char32_t) { return lower_letter; });
  for (const char c : text) out.text() += is_large(c) ? static_cast<char>(c + ('a' - 'A')) : c;
  out.budget().make(text.size());
}

void upper(std::string_view text, Writer& out) {
  if (!is_ascii(text)) return each_letter(text, out, [](char32_t) { return upper_letter; });
  for (const char c : text) out.text() += is_small(c) ? static_cast<char>(c - ('a' - 'A')) : c;
  out.budget().make(text.size());
}

void capitalize(std::string_view text, Writer& out) {
  each_letter(text, out,
              [first = true](char32_t) mutable { return std::exchange(first, false) ? title_letter : lower_letter; });
}

void title(std::string_view text, Writer& out) {
  each_letter(text, out, [within = false](char32_t c) mutable {
    return std::exchange(within, is_in(kCased, c)) ? lower_letter : title_letter;
  });
}

void swap_case(std::string_view text, Writer& out) {
  each_letter(text, out, [](char32_t) { return swapped_letter; });
}

bool is_printable(char32_t c) { return c < 0x7f ? c >= 0x20 : !is_in(kUnprintable, c); }

bool is_of_kind(std::string_view text, std::string_view method) {
  const bool ascii = is_ascii(text);
  if (method == "isascii") return ascii;
  if (!ascii) throw Failure{fmt::format("ASCII text for {}", method), "other characters", kPart};
  const auto letter = [](char c) { return is_small(c) || is_large(c); };
  const auto all = [&](const auto& is) { return !text.empty() && std::ranges::all_of(text, is); };
  if (method == "islower") return std::ranges::any_of(text, is_small) && std::ranges::none_of(text, is_large);
  if (method == "isupper") return std::ranges::any_of(text, is_large) && std::ranges::none_of(text, is_small);
  if (method == "isalpha") return all(letter);
  if (method == "isalnum") return all([&](char c) { return letter(c) || is_digit(c); });
  if (method == "isdigit" || method == "isdecimal" || method == "isnumeric") return all(is_digit);
  if (method == "isspace") return all([](char c) { return is_space(static_cast<char32_t>(c)); });
  if (method == "isprintable")
    return std::ranges::all_of(text, [](char c) { return is_printable(static_cast<char32_t>(c)); });
  throw Failure{"", fmt::format("the method '{}' of text is not supported", method), kPart};
}

}  // namespace qad::jinja
