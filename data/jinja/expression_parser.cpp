#include "data/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "data/jinja/builtins.h"

namespace qad::jinja {
namespace {

constexpr int kDeepest = 100;  ///< of brackets within brackets

ExprPtr add(ExprPtr parent, ExprPtr child) {
  parent->parts.push_back(std::move(child));
  return parent;
}

bool is_comparison(const Token& token) {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  return token.kind == TokenKind::op && std::ranges::find(kOperators, token.text) != std::end(kOperators);
}

/// Whether a test's argument may stand without brackets here: `x is divisibleby 3`.
bool begins_argument(const Token& token) {
  return token.kind == TokenKind::string || token.kind == TokenKind::integer || token.kind == TokenKind::number ||
         (token.kind == TokenKind::op && (token.text == "[" || token.text == "{")) ||
         (token.kind == TokenKind::name && token.text != "else" && token.text != "or" && token.text != "and");
}

}  // namespace

ExprPtr ExpressionParser::make(ExprKind kind, std::string text) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = tokens_.now().line;
  expr->text = std::move(text);
  return expr;
}

ExprPtr ExpressionParser::expression() {
  if (++depth_ > kDeepest) tokens_.fail("expressions nested at most 100 deep");
  ExprPtr expr = logical_or();
  while (tokens_.is_name("if")) {
    ExprPtr whole = add(make(ExprKind::conditional), std::move(expr));
    tokens_.take();
    whole->parts.push_back(logical_or());
    if (tokens_.skip_name("else")) whole->parts.push_back(expression());
    expr = std::move(whole);
  }
  --depth_;
  return expr;
}

ExprPtr ExpressionParser::without_condition() { return logical_or(); }

ExprPtr ExpressionParser::expression_or_tuple() {
  ExprPtr first = expression();
  if (!tokens_.is_op(",")) return first;
  ExprPtr tuple = add(make(ExprKind::list, "tuple"), std::move(first));
  while (tokens_.skip_op(",") && !tokens_.is(TokenKind::block_end) && !tokens_.is(TokenKind::output_end))
    tuple->parts.push_back(expression());
  return tuple;
}

ExprPtr ExpressionParser::logical_or() {
  ExprPtr left = logical_and();
  while (tokens_.is_name("or")) {
    left = add(make(ExprKind::logical_or), std::move(left));
    tokens_.take();
    left->parts.push_back(logical_and());
  }
  return left;
}

ExprPtr ExpressionParser::logical_and() {
  ExprPtr left = logical_not();
  while (tokens_.is_name("and")) {
    left = add(make(ExprKind::logical_and), std::move(left));
    tokens_.take();
    left->parts.push_back(logical_not());
  }
  return left;
}

ExprPtr ExpressionParser::logical_not() {
  if (!tokens_.is_name("not")) return comparison();
  if (++depth_ > kDeepest) tokens_.fail("expressions nested at most 100 deep");
  ExprPtr expr = make(ExprKind::logical_not);
  tokens_.take();
  expr = add(std::move(expr), logical_not());
  --depth_;
  return expr;
}

ExprPtr ExpressionParser::comparison() {
  ExprPtr left = sum();
  ExprPtr chain;
  while (true) {
    std::string op;
    const bool not_in = tokens_.is_name("not") && tokens_.next().kind == TokenKind::name && tokens_.next().text == "in";
    if (!not_in && !tokens_.is_name("in") && !is_comparison(tokens_.now())) break;
    if (!chain) chain = add(make(ExprKind::comparison), std::move(left));
    if (not_in) tokens_.take();
    op = tokens_.take().text;
    chain->names.push_back(not_in ? "not in" : op);
    chain->parts.push_back(sum());
  }
  return chain ? std::move(chain) : std::move(left);
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concat();
  while (tokens_.is_op("+") || tokens_.is_op("-")) {
    left = add(make(ExprKind::arithmetic, tokens_.now().text), std::move(left));
    tokens_.take();
    left->parts.push_back(concat());
  }
  return left;
}

ExprPtr ExpressionParser::concat() {
  ExprPtr first = product();
  if (!tokens_.is_op("~")) return first;
  ExprPtr all = add(make(ExprKind::concat), std::move(first));
  while (tokens_.skip_op("~")) all->parts.push_back(product());
  return all;
}

ExprPtr ExpressionParser::product() {
  ExprPtr left = unary(true);
  while (tokens_.is_op("*") || tokens_.is_op("/") || tokens_.is_op("//") || tokens_.is_op("%")) {
    left = add(make(ExprKind::arithmetic, tokens_.now().text), std::move(left));
    tokens_.take();
    left->parts.push_back(unary(true));
  }
  if (tokens_.is_op("**")) tokens_.fail("an operator among + - * / // % ~");
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  ExprPtr expr;
  if (tokens_.is_op("-")) {
    if (++depth_ > kDeepest) tokens_.fail("expressions nested at most 100 deep");
    ExprPtr negative = make(ExprKind::negative);
    tokens_.take();
    expr = add(std::move(negative), unary(false));
    --depth_;
  } else {
    expr = primary();
  }
  expr = postfix(std::move(expr));
  return with_filters ? filters(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::primary() {
  const auto literal = [&](Value value) {
    ExprPtr expr = make(ExprKind::literal);
    expr->value = std::move(value);
    return expr;
  };
  if (tokens_.is(TokenKind::string)) {
    ExprPtr expr = literal("");
    std::string text;
    while (tokens_.is(TokenKind::string)) text += tokens_.take().text;  // neighbours are one string
    expr->value = std::move(text);
    return expr;
  }
  if (tokens_.is(TokenKind::integer)) {
    const std::string digits = tokens_.now().text;
    std::int64_t number = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc())
      tokens_.fail("an integer within 64 bits");
    ExprPtr expr = literal(number);
    tokens_.take();
    return expr;
  }
  if (tokens_.is(TokenKind::number)) {
    ExprPtr expr = literal(std::strtod(tokens_.now().text.c_str(), nullptr));
    tokens_.take();
    return expr;
  }
  if (tokens_.is(TokenKind::name)) {
    const std::string name = tokens_.now().text;
    ExprPtr expr = name == "true" || name == "True"     ? literal(true)
                   : name == "false" || name == "False" ? literal(false)
                   : name == "none" || name == "None"   ? literal(None())
                                                        : make(ExprKind::name, name);
    tokens_.take();
    return expr;
  }
  if (tokens_.skip_op("(")) {
    if (tokens_.is_op(")")) return list(")");
    ExprPtr expr = expression();
    if (tokens_.skip_op(")")) return expr;
    ExprPtr tuple = add(make(ExprKind::list, "tuple"), std::move(expr));
    tokens_.expect_op(",");
    ExprPtr others = list(")");
    std::ranges::move(others->parts, std::back_inserter(tuple->parts));
    return tuple;
  }
  if (tokens_.skip_op("[")) return list("]");
  if (tokens_.skip_op("{")) return dict();
  tokens_.fail("an expression");
}

ExprPtr ExpressionParser::list(std::string_view close) {
  ExprPtr expr = make(ExprKind::list, close == ")" ? "tuple" : "");
  while (!tokens_.skip_op(close)) {
    expr->parts.push_back(expression());
    if (!tokens_.is_op(close)) tokens_.expect_op(",");
  }
  return expr;
}

ExprPtr ExpressionParser::dict() {
  ExprPtr expr = make(ExprKind::dict);
  while (!tokens_.skip_op("}")) {
    expr->parts.push_back(expression());
    tokens_.expect_op(":");
    expr->parts.push_back(expression());
    if (!tokens_.is_op("}")) tokens_.expect_op(",");
  }
  return expr;
}

ExprPtr ExpressionParser::postfix(ExprPtr expr) {
  while (true) {
    if (tokens_.skip_op(".")) {
      const std::string name = tokens_.expect(TokenKind::name, "an attribute's name").text;
      expr = add(make(ExprKind::attribute, name), std::move(expr));
    } else if (tokens_.is_op("[")) {
      expr = subscript(std::move(expr));
    } else if (tokens_.is_op("(")) {
      if (expr->kind == ExprKind::name) expr->kind = ExprKind::call;
      else if (expr->kind == ExprKind::attribute) expr->kind = ExprKind::method;
      else tokens_.fail("a call of a function or method by its name");
      arguments(*expr);
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr expr) {
  ExprPtr whole = make(ExprKind::item);
  tokens_.expect_op("[");
  whole->parts.push_back(std::move(expr));
  const auto bound = [&] {
    const bool left_out = tokens_.is_op(":") || tokens_.is_op("]");
    whole->parts.push_back(left_out ? make(ExprKind::literal) : expression());
  };
  if (tokens_.is_op("]")) tokens_.fail("an index or a slice");
  bound();
  if (tokens_.skip_op(":")) {
    whole->kind = ExprKind::slice;
    bound();
    if (tokens_.skip_op(":")) bound();
    else whole->parts.push_back(make(ExprKind::literal));
  }
  tokens_.expect_op("]");
  return whole;
}

ExprPtr ExpressionParser::filters(ExprPtr expr) {
  while (true) {
    if (tokens_.skip_op("|")) {
      if (tokens_.is(TokenKind::name) && !is_filter(tokens_.now().text))
        tokens_.fail("a filter among " + filter_names(), "qad knows a part of Jinja");
      expr = add(make(ExprKind::filter, tokens_.now().text), std::move(expr));
      tokens_.expect(TokenKind::name, "a filter's name");
      if (tokens_.is_op("(")) arguments(*expr);
    } else if (tokens_.is_name("is")) {
      expr = test(std::move(expr));
    } else if (tokens_.is_op("(")) {
      tokens_.fail("a call of a function or method by its name");
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::test(ExprPtr expr) {
  tokens_.expect_name("is");
  const bool negated = tokens_.skip_name("not");
  ExprPtr whole = add(make(ExprKind::test, tokens_.now().text), std::move(expr));
  const int line = tokens_.now().line;
  if (tokens_.is(TokenKind::name) && !is_test(whole->text))
    tokens_.fail("a test among " + test_names(), "qad knows a part of Jinja");
  tokens_.expect(TokenKind::name, "a test's name");
  if (tokens_.is_op("(")) {
    arguments(*whole);
  } else if (begins_argument(tokens_.now())) {
    if (tokens_.is_name("is")) tokens_.fail("one test; brackets can join several");
    whole->parts.push_back(postfix(primary()));
  }
  if (whole->parts.size() + whole->names.size() != (test_takes_argument(whole->text) ? 2u : 1u))
    tokens_.fail_at(line, test_takes_argument(whole->text) ? "an argument of the test" : "a test without arguments",
                    '\'' + whole->text + '\'');
  if (!negated) return whole;
  return add(make(ExprKind::logical_not), std::move(whole));
}

void ExpressionParser::arguments(Expr& call) {
  tokens_.expect_op("(");
  while (!tokens_.skip_op(")")) {
    if (tokens_.is(TokenKind::name) && tokens_.next().kind == TokenKind::op && tokens_.next().text == "=") {
      call.names.push_back(tokens_.take().text);
      tokens_.take();
    } else if (!call.names.empty()) {
      tokens_.fail("named arguments after the others");
    }
    if (tokens_.is_op("*") || tokens_.is_op("**")) tokens_.fail("an argument");
    call.parts.push_back(expression());
    if (!tokens_.is_op(")")) tokens_.expect_op(",");
  }
}

}  // namespace qad::jinja
