// Expressions.
#include <fmt/format.h>

#include "data/jinja/arithmetic.h"
#include "data/jinja/compare.h"
#include "data/jinja/filters.h"
#include "data/jinja/functions.h"
#include "data/jinja/interpreter.h"
#include "data/jinja/printing.h"
#include "data/jinja/sequences.h"
#include "data/jinja/tests.h"

namespace qad::jinja {
namespace {

bool compare(const std::string& op, const Value& left, const Value& right, Budget& budget) {
  if (op == "==") return equal(left, right, budget);
  if (op == "!=") return !equal(left, right, budget);
  if (op == "in") return contains(right, left, budget);
  if (op == "not in") return !contains(right, left, budget);
  if (op == "<" || op == "<=") return less(left, right, op == "<=", budget);
  return less(right, left, op == ">=", budget);
}

}  // namespace

Value Interpreter::lookup(const std::string& name) {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get())
    if (const auto found = scope->names.find(name); found != scope->names.end()) return found->second;
  if (!is_function(name)) return Undefined('\'' + name + "' is undefined");
  const auto [place, is_new] = functions_.try_emplace(name);
  if (is_new) place->second = Value(std::make_shared<Function>(name));
  return place->second;
}

Value Interpreter::evaluate(const Expr& expr) {
  try {
    const Deeper deeper(*this);
    budget_.work();
    return value_of(expr);
  } catch (const Failure& failure) {
    fail(expr.line, failure);
  }
}

// Each kind of its own in a function, so that evaluate() takes little of the stack.
Value Interpreter::value_of(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::literal: return expr.value;
    case ExprKind::name: return lookup(expr.text);
    case ExprKind::list: return list(expr);
    case ExprKind::dict: return dict(expr);
    case ExprKind::attribute: return attribute(part(expr, 0), expr.text, budget_);
    case ExprKind::item: return item_of(expr);
    case ExprKind::slice: return slice_of(expr);
    case ExprKind::call: return call(expr);
    case ExprKind::filter:
    case ExprKind::test: return apply(expr);
    case ExprKind::negative: return negative(part(expr, 0));
    case ExprKind::positive: return positive(part(expr, 0));
    case ExprKind::logical_not: return !part(expr, 0).truth();
    case ExprKind::logical_and:
    case ExprKind::logical_or: return logical(expr);
    case ExprKind::arithmetic: return arithmetic_of(expr);
    case ExprKind::concat: return concat(expr);
    case ExprKind::comparison: return comparison(expr);
    case ExprKind::conditional: return conditional(expr);
    case ExprKind::captured: return captured_.back();
  }
  return {};
}

Value Interpreter::list(const Expr& expr) {
  ListBuilder list(budget_, expr.text == "tuple" ? Shape::tuple : Shape::list);
  budget_.make(sizeof(List));
  for (const ExprPtr& entry : expr.parts) list.add(evaluate(*entry));
  return list.take();
}

Value Interpreter::dict(const Expr& expr) {
  Dict dict;
  for (std::size_t i = 0; i < expr.parts.size(); i += 2) {
    const Value key = part(expr, i);
    add_entry(dict, key, part(expr, i + 1), budget_);
  }
  return dict;
}

Value Interpreter::item_of(const Expr& expr) {
  const Value value = part(expr, 0);
  return item(value, part(expr, 1), budget_);
}

Value Interpreter::slice_of(const Expr& expr) {
  const Value value = part(expr, 0), start = part(expr, 1), stop = part(expr, 2);
  return slice(value, start, stop, part(expr, 3), budget_);
}

// A filter or a test.
Value Interpreter::apply(const Expr& expr) {
  const Value value = part(expr, 0);
  const Arguments given = arguments(expr);
  if (expr.kind == ExprKind::filter) return apply_filter(expr.text, value, given, budget_);
  return apply_test(expr.text, value, given, budget_);
}

Value Interpreter::arithmetic_of(const Expr& expr) {
  const Value left = part(expr, 0);
  return arithmetic(expr.text, left, part(expr, 1), budget_);
}

Value Interpreter::logical(const Expr& expr) {
  Value left = part(expr, 0);
  return left.truth() == (expr.kind == ExprKind::logical_and) ? part(expr, 1) : left;
}

Value Interpreter::concat(const Expr& expr) {
  std::string text;
  for (const ExprPtr& each : expr.parts) {
    const Value value = evaluate(*each);
    Writer out(text, budget_);
    print(value, out);
  }
  budget_.make(64);
  return text;
}

Value Interpreter::comparison(const Expr& expr) {
  Value left = part(expr, 0);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = part(expr, i + 1);
    if (!compare(expr.operators[i], left, right, budget_)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::conditional(const Expr& expr) {
  if (part(expr, 1).truth()) return part(expr, 0);
  if (expr.parts.size() > 2) return part(expr, 2);
  return Undefined("the expression has no else");
}

}  // namespace qad::jinja
