// The tokens of a template while it is parsed, and what is said of one that doesn't fit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/jinja/lexer.h"

namespace qad::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string who) : tokens_(std::move(tokens)), who_(std::move(who)) {}

  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] const Token& next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  [[nodiscard]] bool is(TokenKind kind) const { return now().kind == kind; }
  [[nodiscard]] bool is_op(std::string_view op) const { return is(TokenKind::op) && now().text == op; }
  [[nodiscard]] bool is_name(std::string_view name) const { return is(TokenKind::name) && now().text == name; }
  bool skip_op(std::string_view op) { return is_op(op) && (take(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (take(), true); }
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  Token expect(TokenKind kind, std::string_view what);
  /// Throws Error: `expected` at the line of the token that is there.
  [[noreturn]] void fail(std::string_view expected, std::string_view hint = "") const;
  [[noreturn]] void fail_at(int line, std::string_view expected, std::string_view got,
                            std::string_view hint = "") const;

 private:
  std::vector<Token> tokens_;
  std::string who_;
  std::size_t at_ = 0;
};

}  // namespace qad::jinja
