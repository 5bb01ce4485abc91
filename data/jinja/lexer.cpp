#include "data/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autograd/core/error.h"
#include "data/jinja/strings.h"
#include "data/utf8.h"

namespace qad::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// All line ends as \n, without the last one.
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
      if (tag == rest_.size()) break;
      move_to(tag + (sign == '-' || sign == '+' ? 3 : 2));
      if (kind == '#') skip_comment();
      else read_tag(kind);
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  [[noreturn]] void fail(std::string expected, std::string got) const {
    throw Error({fmt::format("{}:{}", who_, line_), std::move(expected), std::move(got), ""});
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

  /// Text before a tag: a minus strips all white space, a block alone on its line the white space before it.
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

  /// Behind a tag's end `close` at `at_`, after which a minus strips white space and a block one line end.
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

  void skip_comment() {
    for (;; move_to(at_ + 1)) {
      if (at_ >= rest_.size()) fail("an end #} of the comment", "the template's end");
      if (skip_end("#}", true)) return;
    }
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
                                         "<",  "=",  ".",  ":",  "|",  ",",  "(", ")", "[", "]", "{", "}"});
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

  void read_number() {
    std::size_t end = at_;
    const auto digits = [&] {
      while (end < rest_.size() && (is_digit(rest_[end]) || rest_[end] == '_')) ++end;
    };
    digits();
    TokenKind kind = TokenKind::integer;
    if (end + 1 < rest_.size() && rest_[end] == '.' && is_digit(rest_[end + 1])) {
      kind = TokenKind::number;
      ++end;
      digits();
    }
    if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
      kind = TokenKind::number;
      ++end;
      if (end < rest_.size() && (rest_[end] == '+' || rest_[end] == '-')) ++end;
      digits();
    }
    std::string text(rest_.substr(at_, end - at_));
    if (!is_digit(text.back())) fail("digits", '\'' + text + '\'');
    if (end < rest_.size() && begins_name(rest_[end])) fail("a number", '\'' + text + rest_[end] + "…'");
    std::erase(text, '_');
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
      } else {
        fail("an escape among \\n \\r \\t \\b \\f \\a \\v \\\\ \\' \\\" \\x \\u \\U",
             fmt::format("'\\{}'", text.substr(at, utf8_length(name))));
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
  bool line_starts_ = true;  ///< whether text at `at_` begins a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source, const std::string& who) {
  check_utf8(source, who);
  return Lexer(source, who).run();
}

}  // namespace qad::jinja
