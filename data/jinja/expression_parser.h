// Expressions of a template, with Jinja's precedence: a filter binds tighter than any operator.
#pragma once

#include "data/jinja/syntax.h"
#include "data/jinja/token_stream.h"

namespace qad::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  [[nodiscard]] ExprPtr expression();
  /// An expression without `… if …`, for the list of a loop, which may have its own `if`.
  [[nodiscard]] ExprPtr without_condition();
  /// An expression, or several with commas between, which make a list.
  [[nodiscard]] ExprPtr expression_or_tuple();

 private:
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr unary(bool with_filters);
  ExprPtr primary();
  ExprPtr list(std::string_view close);
  ExprPtr dict();
  ExprPtr postfix(ExprPtr expr);
  ExprPtr subscript(ExprPtr expr);
  ExprPtr filters(ExprPtr expr);
  ExprPtr test(ExprPtr expr);
  void arguments(Expr& call);
  [[nodiscard]] ExprPtr make(ExprKind kind, std::string text = "") const;

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace qad::jinja
