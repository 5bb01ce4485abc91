#include "data/jinja/strings.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "data/files/utf8.h"

namespace qad::jinja {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

bool ends_line(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

// The first stretch without white space: where it begins and ends.
std::pair<std::size_t, std::size_t> first_word(std::string_view text) {
  const std::string_view word = strip(text, std::nullopt, Side::left);
  std::size_t end = 0;
  for (std::size_t next = 0; end < word.size() && !is_space(next_code_point(word, next)); end = next) continue;
  const std::size_t begin = text.size() - word.size();
  return {begin, begin + end};
}

std::pair<std::size_t, std::size_t> last_word(std::string_view text) {
  const std::size_t end = strip(text, std::nullopt, Side::right).size();
  std::size_t begin = end;
  while (begin > 0) {
    std::size_t before = begin - 1;
    while (continues(text[before])) --before;
    std::size_t at = before;
    if (is_space(next_code_point(text, at))) break;
    begin = before;
  }
  return {begin, end};
}

}  // namespace

// str.isspace counts the four separators of ASCII too.
bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side) {
  std::set<char32_t> stripped;
  for (std::size_t at = 0; chars && at < chars->size();) stripped.insert(next_code_point(*chars, at));
  const auto goes = [&](std::string_view character) {
    std::size_t at = 0;
    const char32_t c = next_code_point(character, at);
    return chars ? stripped.contains(c) : is_space(c);
  };
  while (side != Side::right && !text.empty()) {
    const std::size_t size = utf8_length(text.front());
    if (!goes(text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  while (side != Side::left && !text.empty()) {
    std::size_t begin = text.size() - 1;
    while (continues(text[begin])) --begin;
    if (!goes(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::size_t find_text(std::string_view text, std::string_view part, Budget& budget) {
  if (part.empty()) return 0;
  const void* found = ::memmem(text.data(), text.size(), part.data(), part.size());
  const std::size_t at = found == nullptr ? std::string_view::npos
                                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
  // glibc's search compares up to 256 bytes at each place where two fit.
  budget.work(1 + std::min(at, text.size()) / 64 * (1 + std::min<std::size_t>(part.size(), 256) / 32));
  return at;
}

std::size_t find_last(std::string_view text, std::string_view part, Budget& budget) {
  budget.make(text.size() + part.size());
  const std::string backwards(text.rbegin(), text.rend()), wanted(part.rbegin(), part.rend());
  const std::size_t at = find_text(backwards, wanted, budget);
  return at == std::string::npos ? at : text.size() - part.size() - at;
}

std::int64_t count_text(std::string_view text, std::string_view part, Budget& budget) {
  if (part.empty()) return length(text) + 1;
  std::int64_t total = 0;
  for (std::size_t at = 0; (at = find_text(text, part, budget)) != std::string_view::npos; ++total)
    text.remove_prefix(at + part.size());
  return total;
}

void split(std::string_view text, std::optional<std::string_view> separator, std::int64_t most, Side side,
           Budget& budget, const Visit& visit) {
  const bool left = side == Side::left;
  // From the right one goes through both backwards, from the left.
  std::string backwards, wanted;
  if (separator && !left) {
    budget.make(text.size() + separator->size());
    backwards.assign(text.rbegin(), text.rend());
    wanted.assign(separator->rbegin(), separator->rend());
  }
  for (std::int64_t cuts = 0; separator; ++cuts) {
    std::size_t cut = std::string_view::npos;
    if (most < 0 || cuts < most)
      cut = left ? find_text(text, *separator, budget)
                 : find_text(std::string_view(backwards).substr(backwards.size() - text.size()), wanted, budget);
    if (cut == std::string_view::npos) return visit(text);
    visit(left ? text.substr(0, cut) : text.substr(text.size() - cut));
    if (left) text.remove_prefix(cut + separator->size());
    else text.remove_suffix(cut + separator->size());
  }
  budget.work(text.size() / 8);
  for (std::int64_t cuts = 0;; ++cuts) {
    text = strip(text, std::nullopt, side);
    if (text.empty()) return;
    if (most >= 0 && cuts == most) return visit(text);  // with the white space at its other end
    const auto [begin, end] = left ? first_word(text) : last_word(text);
    visit(text.substr(begin, end - begin));
    text = left ? text.substr(end) : text.substr(0, begin);
  }
}

void split_lines(std::string_view text, bool keep_ends, const Visit& visit) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    if (!ends_line(next_code_point(text, at))) continue;
    if (text[end] == '\r' && at < text.size() && text[at] == '\n') ++at;
    visit(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) visit(text.substr(begin));
}

void replace_text(std::string_view text, std::string_view old, std::string_view with, std::int64_t most, Writer& out) {
  if (old.empty()) {
    for (; most != 0; --most) {
      out.budget().work();
      out.add(with);
      if (text.empty()) return;
      const std::size_t size = utf8_length(text.front());
      out.add(text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  for (std::size_t cut = 0; most != 0 && !old.empty(); --most) {
    if ((cut = find_text(text, old, out.budget())) == std::string_view::npos) break;
    out.budget().work();
    out.add(text.substr(0, cut));
    out.add(with);
    text.remove_prefix(cut + old.size());
  }
  out.add(text);
}

std::int64_t length(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); });
}

std::size_t byte_of(std::string_view text, std::size_t character) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < character && at < text.size(); ++i) at += utf8_length(text[at]);
  return at;
}

void escape_html(std::string_view text, Writer& out) {
  for (std::size_t special = 0; (special = text.find_first_of("&<>'\"")) != std::string_view::npos;) {
    out.add(text.substr(0, special));
    const char c = text[special];
    out.add(c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '\'' ? "&#39;" : "&#34;");
    text.remove_prefix(special + 1);
  }
  out.add(text);
}

}  // namespace qad::jinja
