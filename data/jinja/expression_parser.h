// Expressions of a template, with Jinja's precedence: a filter binds tighter than any operator. Operators are in
// expression_parser.cpp, what stands between them in operand_parser.cpp.
#pragma once

#include <string_view>
#include <vector>

#include "data/jinja/syntax.h"
#include "data/jinja/token_stream.h"

namespace qad::jinja {

/// The special names of macros that an expression reads.
struct SpecialNames {
  bool caller = false, varargs = false, kwargs = false;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  [[nodiscard]] ExprPtr expression();
  /// An expression, or several with commas between, which make a tuple; without `… if …` where that has a meaning of
  /// its own.
  [[nodiscard]] ExprPtr expression_or_tuple(bool with_condition = true);
  /// Filters from here on, | between them, of what a block prints; the first | may be left out.
  [[nodiscard]] ExprPtr block_filters(bool first_mark);
  /// NAME or NAME.ATTRIBUTE, or several of them with commas between, in brackets or not.
  [[nodiscard]] Target target(bool with_attributes);

  /// What was read since it was set last.
  SpecialNames names_read;
  /// Within a tag that may not be run: as in Jinja, a filter or test that we don't have is told when it is met.
  int unsure = 0;

 private:
  ExprPtr without_condition() { return logical_or(); }
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters);
  ExprPtr primary();
  ExprPtr number();
  ExprPtr name();
  ExprPtr list(std::string_view close);
  ExprPtr dict();
  ExprPtr call(ExprPtr expr);
  ExprPtr postfix(ExprPtr expr);
  ExprPtr dot(ExprPtr expr);
  ExprPtr subscript(ExprPtr expr);
  ExprPtr filters(ExprPtr expr);
  ExprPtr filter(ExprPtr expr);
  ExprPtr test(ExprPtr expr);
  void arguments(Expr& call);
  [[nodiscard]] ExprPtr make(ExprKind kind, std::string text = "") const;
  void add(Expr& parent, ExprPtr child);
  void note_depth(Expr& parent, const Expr& child);
  Target one_target(bool with_attributes);
  /// Counts brackets and signs within each other while it lives.
  class Deeper {
   public:
    explicit Deeper(ExpressionParser& parser);
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    ExpressionParser& parser_;
  };

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace qad::jinja
