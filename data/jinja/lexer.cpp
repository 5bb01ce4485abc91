#include "data/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autograd/base/error.h"
#include "data/files/utf8.h"
#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::size_t kLargest = 1 << 20;  // bytes of a template; the largest published ones have 50,000

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// All line ends as \n, without the last one.
std::string normal_lines(std::string_view source) {
  std::string text;
  for (std::size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\r') {
      if (at + 1 < source.size() && source[at + 1] == '\n') ++at;
      text += '\n';
    } else {
      text += source[at];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& who) : source_(normal_lines(source)), rest_(source_), who_(who) {}

  std::vector<Token> run() {
    while (at_ < rest_.size()) {
      const std::size_t tag = next_tag();
      const char kind = tag < rest_.size() ? rest_[tag + 1] : ' ';
      const char sign = tag + 2 < rest_.size() ? rest_[tag + 2] : ' ';
      add_text(rest_.substr(at_, tag - at_), kind, sign);
      move_to(tag);
      if (tag == rest_.size()) break;
      move_to(tag + (sign == '-' || sign == '+' ? 3 : 2));
      if (kind == '#') skip_comment();
      else if (const std::size_t raw = kind == '%' ? raw_begin() : 0; raw > 0) read_raw(raw);
      else read_tag(kind);
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  [[noreturn]] void fail(std::string expected, const std::string& got) const {
    throw Error({.who = fmt::format("{}:{}", who_, line_), .expected = std::move(expected), .got = one_line(got)});
  }

  void move_to(std::size_t to) {
    line_ += static_cast<int>(std::count(rest_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         rest_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t at = at_; (at = rest_.find('{', at)) != std::string_view::npos; ++at)
      if (at + 1 < rest_.size() && (rest_[at + 1] == '{' || rest_[at + 1] == '%' || rest_[at + 1] == '#')) return at;
    return rest_.size();
  }

  // Text before a tag: a minus strips all white space, a block alone on its line the white space before it.
  void add_text(std::string_view text, char tag, char sign) {
    if (tag != ' ' && sign == '-') {
      text = strip(text, std::nullopt, Side::right);
    } else if ((tag == '%' || tag == '#') && sign != '+') {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      const bool blank = strip(text.substr(line), std::nullopt, Side::left).empty();
      if (blank && (line > 0 || line_starts_)) text = text.substr(0, line);
    }
    if (!text.empty()) add(TokenKind::text, std::string(text));
  }

  // Behind a tag's end `close` at `at_`, after which a minus strips white space and a block one line end.
  bool skip_end(std::string_view close, bool trim_newline) {
    const std::string_view here = rest_.substr(at_);
    const bool minus = here.starts_with('-') && here.substr(1).starts_with(close);
    const bool plus = trim_newline && here.starts_with('+') && here.substr(1).starts_with(close);
    if (!minus && !plus && !here.starts_with(close)) return false;
    std::size_t end = at_ + close.size() + (minus || plus ? 1 : 0);
    if (minus) end = rest_.size() - strip(rest_.substr(end), std::nullopt, Side::left).size();
    else if (!plus && trim_newline && end < rest_.size() && rest_[end] == '\n') ++end;
    line_starts_ = rest_[end - 1] == '\n';
    move_to(end);
    return true;
  }

  // Where {% raw %} ends, whose tag begins at `at_`; 0 for another tag.
  [[nodiscard]] std::size_t raw_begin() const {
    const auto behind_space = [&](std::size_t at) {
      return rest_.size() - strip(rest_.substr(at), std::nullopt, Side::left).size();
    };
    const std::size_t word = behind_space(at_);
    if (!rest_.substr(word).starts_with("raw")) return 0;
    const std::size_t end = behind_space(word + 3);
    if (rest_.substr(end).starts_with("-%}")) return behind_space(end + 3);
    return rest_.substr(end).starts_with("%}") ? end + 2 : 0;
  }

  // Text from `begin` to {% endraw %}, as it stands.
  void read_raw(std::size_t begin) {
    line_starts_ = rest_[begin - 1] == '\n';
    for (std::size_t tag = begin; (tag = rest_.find("{%", tag)) != std::string_view::npos; ++tag) {
      const char sign = tag + 2 < rest_.size() ? rest_[tag + 2] : ' ';
      std::string_view end = rest_.substr(std::min(tag + (sign == '-' || sign == '+' ? 3 : 2), rest_.size()));
      end = strip(end, std::nullopt, Side::left);
      if (!end.starts_with("endraw")) continue;
      end = strip(end.substr(6), std::nullopt, Side::left);
      if (!end.starts_with("%}") && !end.starts_with("-%}") && !end.starts_with("+%}")) continue;
      move_to(begin);
      add_text(rest_.substr(begin, tag - begin), '%', sign);
      move_to(rest_.size() - end.size());
      static_cast<void>(skip_end("%}", true));
      return;
    }
    fail("an end {% endraw %}", "the template's end");
  }

  void skip_comment() {
    const std::size_t end = rest_.find("#}", at_);
    if (end == std::string_view::npos) fail("an end #} of the comment", "the template's end");
    move_to(end > at_ && (rest_[end - 1] == '-' || rest_[end - 1] == '+') ? end - 1 : end);
    static_cast<void>(skip_end("#}", true));
  }

  void read_tag(char kind) {
    const bool block = kind == '%';
    add(block ? TokenKind::block_begin : TokenKind::output_begin, block ? "{%" : "{{");
    std::string open;  // brackets that wait for their partner
    while (true) {
      move_to(rest_.size() - strip(rest_.substr(at_), std::nullopt, Side::left).size());
      if (at_ >= rest_.size()) fail(block ? "an end %} of the tag" : "an end }} of the tag", "the template's end");
      const int line = line_;
      if (open.empty() && skip_end(block ? "%}" : "}}", block)) {
        tokens_.push_back({block ? TokenKind::block_end : TokenKind::output_end, block ? "%}" : "}}", line});
        return;
      }
      read_word(open);
    }
  }

  void read_word(std::string& open) {
    const char c = rest_[at_];
    if (is_digit(c)) return read_number();
    if (begins_name(c)) {
      std::size_t end = at_;
      while (end < rest_.size() && (begins_name(rest_[end]) || is_digit(rest_[end]))) ++end;
      add(TokenKind::name, std::string(rest_.substr(at_, end - at_)));
      return move_to(end);
    }
    if (c == '"' || c == '\'') return read_string();
    static constexpr auto kOperators =
        std::to_array<std::string_view>({"==", "!=", ">=", "<=", "//", "**", "+", "-", "*", "/", "%", "~", ">",
                                         "<",  "=",  ".",  ":",  "|",  ",",  "(", ")", "[", "]", "{", "}", ";"});
    for (const std::string_view op : kOperators) {
      if (!rest_.substr(at_).starts_with(op)) continue;
      balance(op[0], open);
      add(TokenKind::op, std::string(op));
      return move_to(at_ + op.size());
    }
    fail("an expression", fmt::format("'{}'", rest_.substr(at_, utf8_length(c))));
  }

  void balance(char c, std::string& open) const {
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c != ')' && c != ']' && c != '}') return;
    const char partner = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (!open.ends_with(partner)) fail("brackets in pairs", fmt::format("'{}' without its '{}'", c, partner));
    open.pop_back();
  }

  // Digits of a base with single _ between them, from `at` on; where they end.
  [[nodiscard]] std::size_t digits_end(std::size_t at, std::string_view digits) const {
    const auto is_one = [&](std::size_t i) {
      return i < rest_.size() && digits.find(rest_[i]) != std::string_view::npos;
    };
    while (is_one(at) || (at < rest_.size() && rest_[at] == '_' && is_one(at + 1))) ++at;
    return at;
  }

  void read_number() {
    static constexpr std::string_view kDecimal = "0123456789";
    std::size_t end = digits_end(at_, kDecimal);
    TokenKind kind = TokenKind::integer;
    const bool behind_dot = !tokens_.empty() && tokens_.back().kind == TokenKind::op && tokens_.back().text == ".";
    if (!behind_dot && end + 1 < rest_.size() && rest_[end] == '.' && is_digit(rest_[end + 1])) {
      kind = TokenKind::number;
      end = digits_end(end + 1, kDecimal);
    }
    if (!behind_dot && end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
      const std::size_t sign = end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '-') ? 1 : 0;
      const std::size_t exponent = digits_end(end + 1 + sign, kDecimal);
      if (exponent > end + 1 + sign) {
        kind = TokenKind::number;
        end = exponent;
      }
    }
    if (kind == TokenKind::integer && end == at_ + 1 && rest_[at_] == '0' && end < rest_.size()) {
      const char mark = static_cast<char>(rest_[end] | 0x20);
      const std::string_view digits = mark == 'x' ? "0123456789abcdefABCDEF" : mark == 'o' ? "01234567" : "01";
      if (mark == 'x' || mark == 'o' || mark == 'b') {
        const std::size_t begin = end + 1;
        end = digits_end(begin, digits);
        if (end == begin) fail("digits", fmt::format("'{}'", rest_.substr(at_, 2)));
      }
    }
    std::string text(rest_.substr(at_, end - at_));
    std::erase(text, '_');
    const bool zeros = kind == TokenKind::integer && text.size() > 1 && text[0] == '0' && is_digit(text[1]);
    if ((zeros && text.find_first_not_of('0') != std::string::npos) || (end < rest_.size() && begins_name(rest_[end])))
      fail("a number", '\'' + text + (zeros ? "'" : std::string(rest_.substr(end, 1)) + "…'"));
    add(kind, std::move(text));
    move_to(end);
  }

  void read_string() {
    const std::size_t begin = at_ + 1;
    std::size_t end = begin;
    while (end < rest_.size() && rest_[end] != rest_[at_]) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) fail("an end of the string", "the template's end");
    add(TokenKind::string, unescaped(rest_.substr(begin, end - begin)));
    move_to(end + 1);
  }

  [[nodiscard]] std::string unescaped(std::string_view text) const {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '\\') {
        out += text[at];
        continue;
      }
      static constexpr std::string_view kNames = "\\'\"nrtbfav\n", kMeanings = "\\'\"\n\r\t\b\f\a\v";
      const char name = text[++at];
      if (const std::size_t simple = kNames.find(name); simple != std::string_view::npos) {
        if (name != '\n') out += kMeanings[simple];
      } else if (const std::size_t digits = name == 'x' ? 2u : name == 'u' ? 4u : name == 'U' ? 8u : 0u; digits > 0) {
        append_utf8(out, hexadecimal(text.substr(at + 1, digits), digits));
        at += digits;
      } else if (name >= '0' && name <= '7') {
        std::size_t end = at;
        char32_t code = 0;
        for (; end < text.size() && end < at + 3 && text[end] >= '0' && text[end] <= '7'; ++end)
          code = code * 8 + static_cast<char32_t>(text[end] - '0');
        append_utf8(out, code);
        at = end - 1;
      } else if (name == 'N' || static_cast<unsigned char>(name) >= 0x80) {
        fail("an escape such as \\n or \\u00e9", fmt::format("'\\{}'", text.substr(at, utf8_length(name))));
      } else {
        out.append("\\").append(1, name);  // no escape at all
      }
    }
    return out;
  }

  [[nodiscard]] char32_t hexadecimal(std::string_view text, std::size_t digits) const {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    char32_t value = 0;
    for (const char c : text) {
      const std::size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c);
      if (digit == std::string_view::npos || value > 0x110000) digits = 0;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (text.size() != digits || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
      fail("a character's number in hexadecimal", '\'' + std::string(text) + '\'');
    return value;
  }

  std::string source_;
  std::string_view rest_;
  std::string who_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // whether text at `at_` begins a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source, const std::string& who) {
  if (source.size() > kLargest)
    throw Error(
        {.who = who, .expected = "a template of at most 1 MiB", .got = std::to_string(source.size()) + " bytes"});
  check_utf8(source, who);
  return Lexer(source, who).run();
}

}  // namespace qad::jinja
