#include "data/jinja/arithmetic.h"

#include <algorithm>

#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/formatting.h"
#include "data/jinja/numbers.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

// Text that is not safe beside one that is, is escaped for HTML.
Value add_texts(const Text& left, const Text& right, Budget& budget) {
  std::string text;
  Writer out(text, budget);
  budget.make(64);
  for (const Text* part : {&left, &right}) {
    if ((left.safe || right.safe) && !part->safe) escape_html(part->bytes, out);
    else out.add(part->bytes);
  }
  return Value(std::move(text), left.safe || right.safe);
}

Value repeated(const Text& text, std::int64_t times, Budget& budget) {
  std::string made;
  if (text.bytes.empty() || times <= 0) return Value(made, text.safe);
  std::size_t size = 0;
  if (__builtin_mul_overflow(text.bytes.size(), static_cast<std::size_t>(times), &size)) size = SIZE_MAX;
  budget.make(size);
  made.reserve(size);
  made = text.bytes;
  while (made.size() < size) made.append(made, 0, std::min(made.size(), size - made.size()));
  return Value(std::move(made), text.safe);
}

Value repeated(const List& list, std::int64_t times, Budget& budget) {
  ListBuilder made(budget, list.shape);
  if (!list.items.empty())
    for (std::int64_t i = 0; i < times; ++i)
      for (const Value& entry : list.items) made.add(entry);
  return made.take();
}

bool is_sequence(const Value& value) { return value.list() != nullptr && value.list()->shape <= Shape::tuple; }

}  // namespace

Value arithmetic(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  require_defined(left);
  if (op != "%" || left.text() == nullptr) require_defined(right);
  if (left.is_number() && right.is_number()) return calculate(op, left, right);
  const Text *a = left.text(), *b = right.text();
  if (op == "+" && a != nullptr && b != nullptr) return add_texts(*a, *b, budget);
  if (op == "%" && a != nullptr) {
    std::string text;
    Writer out(text, budget);
    format_percent(*a, right, out);
    return Value(std::move(text), a->safe);
  }
  if (op == "+" && is_sequence(left) && is_sequence(right) && left.list()->shape == right.list()->shape) {
    ListBuilder joined(budget, left.list()->shape);
    for (const List* part : {left.list(), right.list()})
      for (const Value& entry : part->items) joined.add(entry);
    return joined.take();
  }
  if (op == "*") {
    const std::int64_t *by_right = right.integer(), *by_left = left.integer();
    if (a != nullptr && by_right != nullptr) return repeated(*a, *by_right, budget);
    if (b != nullptr && by_left != nullptr) return repeated(*b, *by_left, budget);
    if (is_sequence(left) && by_right != nullptr) return repeated(*left.list(), *by_right, budget);
    if (is_sequence(right) && by_left != nullptr) return repeated(*right.list(), *by_left, budget);
  }
  throw Failure{"values that " + std::string(op) + " joins", left.type() + " and " + right.type()};
}

Value negative(const Value& value) {
  require_defined(value);
  if (!value.is_number()) throw Failure{"a number behind -", value.type()};
  return negated(value);
}

Value positive(const Value& value) {
  require_defined(value);
  if (!value.is_number()) throw Failure{"a number behind +", value.type()};
  return value.is<bool>() ? Value(*value.integer()) : value;
}

}  // namespace qad::jinja
