// What operators stand between: literals, names, brackets, and what may follow them, from indices and calls to filters
// and tests. Declared in expression_parser.h.
#include <algorithm>
#include <cstdlib>

#include "data/jinja/expression_parser.h"
#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/numbers.h"
#include "data/jinja/tests.h"

namespace qad::jinja {
namespace {

// Whether a test's argument may stand without brackets here: `x is divisibleby 3`.
bool begins_argument(const Token& token) {
  return token.kind == TokenKind::string || token.kind == TokenKind::integer || token.kind == TokenKind::number ||
         (token.kind == TokenKind::op && (token.text == "[" || token.text == "{")) ||
         (token.kind == TokenKind::name && token.text != "else" && token.text != "or" && token.text != "and");
}

}  // namespace

ExprPtr ExpressionParser::primary() {
  if (tokens_.is(TokenKind::string)) {
    ExprPtr expr = make(ExprKind::literal);
    std::string text;
    while (tokens_.is(TokenKind::string)) text += tokens_.take().text;  // neighbours are one string
    expr->value = std::move(text);
    return expr;
  }
  if (tokens_.is(TokenKind::integer) || tokens_.is(TokenKind::number)) return number();
  if (tokens_.is(TokenKind::name)) return name();
  if (tokens_.skip_op("(")) {
    if (tokens_.is_op(")")) return list(")");
    ExprPtr expr = expression();
    if (tokens_.skip_op(")")) return expr;
    ExprPtr tuple = make(ExprKind::list, "tuple");
    add(*tuple, std::move(expr));
    tokens_.expect_op(",");
    ExprPtr others = list(")");
    for (ExprPtr& other : others->parts) add(*tuple, std::move(other));
    return tuple;
  }
  if (tokens_.skip_op("[")) return list("]");
  if (tokens_.skip_op("{")) return dict();
  tokens_.fail("an expression");
}

ExprPtr ExpressionParser::number() {
  ExprPtr expr = make(ExprKind::literal);
  const std::string& digits = tokens_.now().text;
  try {
    if (tokens_.is(TokenKind::number)) {
      expr->value = std::strtod(digits.c_str(), nullptr);
    } else {
      const char mark = digits.size() > 2 ? static_cast<char>(digits[1] | 0x20) : ' ';
      const unsigned base = mark == 'x' ? 16u : mark == 'o' ? 8u : mark == 'b' ? 2u : 10u;
      expr->value = integer_from_digits(std::string_view(digits).substr(base == 10 ? 0 : 2), base);
    }
  } catch (const Failure& failure) {
    tokens_.fail_at(tokens_.now().line, failure.expected, failure.got);
  }
  tokens_.take();
  return expr;
}

ExprPtr ExpressionParser::name() {
  const std::string word = tokens_.now().text;
  ExprPtr expr = make(ExprKind::literal);
  if (word == "true" || word == "True") {
    expr->value = true;
  } else if (word == "false" || word == "False") {
    expr->value = false;
  } else if (word != "none" && word != "None") {
    expr = make(ExprKind::name, word);
    if (word == "caller") names_read.caller = true;
    if (word == "varargs") names_read.varargs = true;
    if (word == "kwargs") names_read.kwargs = true;
  }
  tokens_.take();
  return expr;
}

ExprPtr ExpressionParser::list(std::string_view close) {
  ExprPtr expr = make(ExprKind::list, close == ")" ? "tuple" : "");
  while (!tokens_.skip_op(close)) {
    add(*expr, expression());
    if (!tokens_.is_op(close)) tokens_.expect_op(",");
  }
  return expr;
}

ExprPtr ExpressionParser::dict() {
  ExprPtr expr = make(ExprKind::dict);
  while (!tokens_.skip_op("}")) {
    add(*expr, expression());
    tokens_.expect_op(":");
    add(*expr, expression());
    if (!tokens_.is_op("}")) tokens_.expect_op(",");
  }
  return expr;
}

ExprPtr ExpressionParser::call(ExprPtr expr) {
  ExprPtr whole = make(ExprKind::call);
  add(*whole, std::move(expr));
  arguments(*whole);
  return whole;
}

ExprPtr ExpressionParser::postfix(ExprPtr expr) {
  while (true) {
    if (tokens_.is_op(".")) {
      expr = dot(std::move(expr));
    } else if (tokens_.is_op("[")) {
      expr = subscript(std::move(expr));
    } else if (tokens_.is_op("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::dot(ExprPtr expr) {
  ExprPtr whole = make(ExprKind::attribute);
  tokens_.expect_op(".");
  add(*whole, std::move(expr));
  if (tokens_.is(TokenKind::integer)) {  // list.0
    whole->kind = ExprKind::item;
    add(*whole, number());
  } else {
    whole->text = tokens_.expect(TokenKind::name, "an attribute's name").text;
  }
  return whole;
}

ExprPtr ExpressionParser::subscript(ExprPtr expr) {
  ExprPtr whole = make(ExprKind::item);
  tokens_.expect_op("[");
  add(*whole, std::move(expr));
  const auto bound = [&] {
    const bool left_out = tokens_.is_op(":") || tokens_.is_op("]");
    add(*whole, left_out ? make(ExprKind::literal) : expression());
  };
  if (tokens_.is_op("]")) tokens_.fail("an index or a slice");
  bound();
  if (tokens_.skip_op(":")) {
    whole->kind = ExprKind::slice;
    bound();
    if (tokens_.skip_op(":")) bound();
    else add(*whole, make(ExprKind::literal));
  }
  tokens_.expect_op("]");
  return whole;
}

ExprPtr ExpressionParser::filters(ExprPtr expr) {
  while (true) {
    if (tokens_.skip_op("|")) {
      expr = filter(std::move(expr));
    } else if (tokens_.is_name("is")) {
      expr = test(std::move(expr));
    } else if (tokens_.is_op("(")) {
      expr = call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::filter(ExprPtr expr) {
  ExprPtr whole = make(ExprKind::filter, tokens_.now().text);
  if (tokens_.is(TokenKind::name) && unsure == 0 && !is_filter(whole->text))
    tokens_.fail("a filter among " + filter_names(), kPart);
  tokens_.expect(TokenKind::name, "a filter's name");
  add(*whole, std::move(expr));
  if (tokens_.is_op("(")) arguments(*whole);
  return whole;
}

ExprPtr ExpressionParser::block_filters(bool first_mark) {
  ExprPtr expr = make(ExprKind::captured);
  if (!first_mark) expr = filter(std::move(expr));
  while (tokens_.skip_op("|")) expr = filter(std::move(expr));
  return expr;
}

ExprPtr ExpressionParser::test(ExprPtr expr) {
  tokens_.expect_name("is");
  const bool negated = tokens_.skip_name("not");
  ExprPtr whole = make(ExprKind::test, tokens_.now().text);
  if (tokens_.is(TokenKind::name) && unsure == 0 && !is_test(whole->text))
    tokens_.fail("a test among " + test_names(), kPart);
  tokens_.expect(TokenKind::name, "a test's name");
  add(*whole, std::move(expr));
  if (tokens_.is_op("(")) {
    arguments(*whole);
  } else if (begins_argument(tokens_.now())) {
    if (tokens_.is_name("is")) tokens_.fail("one test; brackets can join several");
    Argument argument;
    argument.value = postfix(primary());
    note_depth(*whole, *argument.value);
    whole->arguments.push_back(std::move(argument));
  }
  if (!negated) return whole;
  ExprPtr other = make(ExprKind::logical_not);
  add(*other, std::move(whole));
  return other;
}

void ExpressionParser::arguments(Expr& call) {
  tokens_.expect_op("(");
  bool named = false;
  while (!tokens_.skip_op(")")) {
    Argument argument;
    if (tokens_.is(TokenKind::name) && tokens_.next().kind == TokenKind::op && tokens_.next().text == "=") {
      argument.name = tokens_.take().text;
      tokens_.take();
      named = true;
    } else if (tokens_.skip_op("**")) {
      argument.spread = Spread::dict;
      named = true;
    } else if (tokens_.skip_op("*")) {
      argument.spread = Spread::list;
    } else if (named) {
      tokens_.fail("named arguments after the others");
    }
    argument.value = expression();
    note_depth(call, *argument.value);
    call.arguments.push_back(std::move(argument));
    if (!tokens_.is_op(")")) tokens_.expect_op(",");
  }
}

Target ExpressionParser::target(bool with_attributes) {
  Target first = one_target(with_attributes);
  if (!tokens_.is_op(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (tokens_.skip_op(","))
    if ((tokens_.is(TokenKind::name) && !tokens_.is_name("in")) || tokens_.is_op("("))
      all.parts.push_back(one_target(with_attributes));
  return all;
}

Target ExpressionParser::one_target(bool with_attributes) {
  const Deeper deeper(*this);
  if (tokens_.skip_op("(")) {
    Target inner = target(with_attributes);
    tokens_.expect_op(")");
    return inner;
  }
  Target target{tokens_.expect(TokenKind::name, "a name to set").text, "", {}};
  static constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
  if (std::ranges::find(kConstants, target.name) != std::end(kConstants))
    tokens_.fail_at(tokens_.now().line, "a name that can be set", target.name);
  if (with_attributes && tokens_.skip_op("."))
    target.attribute = tokens_.expect(TokenKind::name, "an attribute's name").text;
  return target;
}

}  // namespace qad::jinja
