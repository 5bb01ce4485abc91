#include "data/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace qad::jinja {
namespace {

// Both bound how deep parsing, running and freeing recurse. Python's own limits are lower.
constexpr int kDeepestBrackets = 100;
constexpr int kDeepestExpression = 200;  // links of a chain such as a + b + c included

bool is_comparison(const Token& token) {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  return token.kind == TokenKind::op && std::ranges::find(kOperators, token.text) != std::end(kOperators);
}

}  // namespace

ExpressionParser::Deeper::Deeper(ExpressionParser& parser) : parser_(parser) {
  if (++parser_.depth_ > kDeepestBrackets)
    parser_.tokens_.fail(fmt::format("expressions nested at most {} deep", kDeepestBrackets));
}

ExprPtr ExpressionParser::make(ExprKind kind, std::string text) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = tokens_.now().line;
  expr->text = std::move(text);
  return expr;
}

void ExpressionParser::note_depth(Expr& parent, const Expr& child) {
  parent.depth = std::max(parent.depth, child.depth + 1);
  if (parent.depth > kDeepestExpression)
    tokens_.fail(fmt::format("expressions of at most {} links", kDeepestExpression));
}

void ExpressionParser::add(Expr& parent, ExprPtr child) {
  note_depth(parent, *child);
  parent.parts.push_back(std::move(child));
}

ExprPtr ExpressionParser::expression() {
  const Deeper deeper(*this);
  ExprPtr expr = logical_or();
  while (tokens_.is_name("if")) {
    ExprPtr whole = make(ExprKind::conditional);
    add(*whole, std::move(expr));
    tokens_.take();
    add(*whole, logical_or());
    if (tokens_.skip_name("else")) add(*whole, expression());
    expr = std::move(whole);
  }
  return expr;
}

ExprPtr ExpressionParser::expression_or_tuple(bool with_condition) {
  const auto one = [&] { return with_condition ? expression() : without_condition(); };
  ExprPtr first = one();
  if (!tokens_.is_op(",")) return first;
  ExprPtr tuple = make(ExprKind::list, "tuple");
  add(*tuple, std::move(first));
  while (tokens_.skip_op(",") && !tokens_.is(TokenKind::block_end) && !tokens_.is(TokenKind::output_end) &&
         !tokens_.is_name("recursive"))
    add(*tuple, one());
  return tuple;
}

ExprPtr ExpressionParser::logical_or() {
  ExprPtr left = logical_and();
  while (tokens_.is_name("or")) {
    ExprPtr both = make(ExprKind::logical_or);
    tokens_.take();
    add(*both, std::move(left));
    add(*both, logical_and());
    left = std::move(both);
  }
  return left;
}

ExprPtr ExpressionParser::logical_and() {
  ExprPtr left = logical_not();
  while (tokens_.is_name("and")) {
    ExprPtr both = make(ExprKind::logical_and);
    tokens_.take();
    add(*both, std::move(left));
    add(*both, logical_not());
    left = std::move(both);
  }
  return left;
}

ExprPtr ExpressionParser::logical_not() {
  if (!tokens_.is_name("not")) return comparison();
  const Deeper deeper(*this);
  ExprPtr expr = make(ExprKind::logical_not);
  tokens_.take();
  add(*expr, logical_not());
  return expr;
}

ExprPtr ExpressionParser::comparison() {
  ExprPtr left = sum();
  ExprPtr chain;
  while (true) {
    const bool not_in = tokens_.is_name("not") && tokens_.next().kind == TokenKind::name && tokens_.next().text == "in";
    if (!not_in && !tokens_.is_name("in") && !is_comparison(tokens_.now())) break;
    if (!chain) {
      chain = make(ExprKind::comparison);
      add(*chain, std::move(left));
    }
    if (not_in) tokens_.take();
    const std::string op = tokens_.take().text;
    chain->operators.push_back(not_in ? "not in" : op);
    add(*chain, sum());
  }
  return chain ? std::move(chain) : std::move(left);
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concat();
  while (tokens_.is_op("+") || tokens_.is_op("-")) {
    ExprPtr both = make(ExprKind::arithmetic, tokens_.now().text);
    tokens_.take();
    add(*both, std::move(left));
    add(*both, concat());
    left = std::move(both);
  }
  return left;
}

ExprPtr ExpressionParser::concat() {
  ExprPtr first = product();
  if (!tokens_.is_op("~")) return first;
  ExprPtr all = make(ExprKind::concat);
  add(*all, std::move(first));
  while (tokens_.skip_op("~")) add(*all, product());
  return all;
}

ExprPtr ExpressionParser::product() {
  ExprPtr left = power();
  while (tokens_.is_op("*") || tokens_.is_op("/") || tokens_.is_op("//") || tokens_.is_op("%")) {
    ExprPtr both = make(ExprKind::arithmetic, tokens_.now().text);
    tokens_.take();
    add(*both, std::move(left));
    add(*both, power());
    left = std::move(both);
  }
  return left;
}

// From the left, and weaker than a sign, unlike Python.
ExprPtr ExpressionParser::power() {
  ExprPtr left = unary(true);
  while (tokens_.is_op("**")) {
    ExprPtr both = make(ExprKind::arithmetic, "**");
    tokens_.take();
    add(*both, std::move(left));
    add(*both, unary(true));
    left = std::move(both);
  }
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  ExprPtr expr;
  if (tokens_.is_op("-") || tokens_.is_op("+")) {
    const Deeper deeper(*this);
    expr = make(tokens_.is_op("-") ? ExprKind::negative : ExprKind::positive);
    tokens_.take();
    add(*expr, unary(false));
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filters ? filters(std::move(expr)) : std::move(expr);
}

}  // namespace qad::jinja
