#include "data/jinja/compare.h"

#include "data/jinja/failure.h"
#include "data/jinja/numbers.h"

namespace qad::jinja {
namespace {

bool is_view(const Value& value) {
  const List* list = value.list();
  return list != nullptr && list->shape >= Shape::keys && list->shape <= Shape::items;
}

bool equal_lists(const List& left, const List& right, Budget& budget) {
  if (left.shape != right.shape || left.items.size() != right.items.size()) return false;
  for (std::size_t i = 0; i < left.items.size(); ++i)
    if (!equal(left.items[i], right.items[i], budget)) return false;
  return true;
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (left.size() != right.size()) return false;
  for (const auto& [key, value] : left.entries()) {
    budget.work(4);
    const Value* other = right.find_key(key);
    if (other == nullptr || !equal(value, *other, budget)) return false;
  }
  return true;
}

}  // namespace

void require_defined(const Value& value) {
  if (const auto* undefined = value.as<Undefined>()) throw Failure{"", *undefined->why};
}

bool equal(const Value& left, const Value& right, Budget& budget) {
  budget.work();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == 0;
  if (const std::string* a = left.bytes(), *b = right.bytes(); a != nullptr && b != nullptr) {
    if (a->size() != b->size()) return false;
    budget.read(a->size());
    return *a == *b;
  }
  if (left.is_same(right)) return true;
  if (const List* a = left.list(), *b = right.list(); a != nullptr && b != nullptr) {
    if (is_view(left) && is_view(right)) throw Failure{"values that == compares", left.type(), kPart};
    return a->shape != Shape::generator && equal_lists(*a, *b, budget);
  }
  if (const Dict* a = left.dict(), *b = right.dict(); a != nullptr && b != nullptr) return equal_dicts(*a, *b, budget);
  return left.is<Undefined>() && right.is<Undefined>();
}

bool less(const Value& left, const Value& right, bool or_equal, Budget& budget) {
  budget.work();
  require_defined(left);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    const std::partial_ordering order = compare_numbers(left, right);
    return or_equal ? order <= 0 : order < 0;
  }
  if (const std::string* a = left.bytes(), *b = right.bytes(); a != nullptr && b != nullptr) {
    budget.read(std::min(a->size(), b->size()));
    return or_equal ? *a <= *b : *a < *b;  // UTF-8 keeps the order of code points
  }
  const List *a = left.list(), *b = right.list();
  if (a == nullptr || b == nullptr || a->shape != b->shape || a->shape > Shape::tuple)
    throw Failure{"two numbers, texts or lists to compare", left.type() + " and " + right.type()};
  for (std::size_t i = 0; i < a->items.size() && i < b->items.size(); ++i)
    if (!equal(a->items[i], b->items[i], budget)) return less(a->items[i], b->items[i], or_equal, budget);
  return or_equal ? a->items.size() <= b->items.size() : a->items.size() < b->items.size();
}

}  // namespace qad::jinja
