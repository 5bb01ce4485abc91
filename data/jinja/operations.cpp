// Operators on values: items, slices, `in`, arithmetic, order. Declared in value.h.
#include <algorithm>
#include <cmath>

#include "data/jinja/failure.h"
#include "data/jinja/strings.h"
#include "data/jinja/value.h"

namespace qad::jinja {
namespace {

constexpr std::size_t kLongestText = std::size_t{1} << 24;  ///< that a product of text and number may make

void require_defined(const Value& value) {
  if (const auto* undefined = value.as<Undefined>()) throw Failure{"", undefined->why};
}

void require_indices(const Value& value) {
  const List* list = value.list();
  if (list != nullptr && list->shape > Shape::tuple)
    throw Failure{"a list (its items can be put in one with | list)", value.type()};
}

double number_of(const Value& value) {
  const auto* integer = value.integer();
  return integer != nullptr ? static_cast<double>(*integer) : *value.as<double>();
}

Value integers(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "+") overflow = __builtin_add_overflow(a, b, &result);
  else if (op == "-") overflow = __builtin_sub_overflow(a, b, &result);
  else if (op == "*") overflow = __builtin_mul_overflow(a, b, &result);
  else if (b == 0) throw Failure{"a divisor", "0"};
  else if (b == -1) overflow = op == "//" && __builtin_sub_overflow(std::int64_t{0}, a, &result);
  else {
    // Python rounds down, C++ towards zero.
    const std::int64_t rest = a % b, down = rest != 0 && (rest < 0) != (b < 0) ? 1 : 0;
    result = op == "//" ? a / b - down : rest + down * b;
  }
  if (overflow) throw Failure{"a result within 64 bits", "a larger one"};
  return result;
}

Value doubles(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (b == 0) throw Failure{"a divisor", "0"};
  if (op == "/") return a / b;
  const double rest = std::fmod(a, b), modulo = rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  return op == "%" ? modulo : std::round((a - modulo) / b);
}

/// The indices that a slice of a sequence of `size` takes.
std::vector<std::size_t> slice_indices(std::int64_t size, const Value& start, const Value& stop, const Value& step) {
  const auto bound = [](const Value& value, std::int64_t otherwise) {
    if (value.is<None>()) return otherwise;
    const std::int64_t* number = value.integer();
    if (number == nullptr) throw Failure{"integers or nothing around the colons of a slice", value.type()};
    return *number;
  };
  const std::int64_t stride = bound(step, 1);
  if (stride == 0) throw Failure{"a slice step other than 0", "0"};
  const bool forward = stride > 0;
  const auto clamped = [&](std::int64_t at) {
    if (at < 0) at = at < -size ? -1 : at + size;
    return std::clamp(at, forward ? std::int64_t{0} : std::int64_t{-1}, forward ? size : size - 1);
  };
  const std::int64_t first = start.is<None>() ? (forward ? 0 : size - 1) : clamped(bound(start, 0));
  const std::int64_t last = stop.is<None>() ? (forward ? size : -1) : clamped(bound(stop, 0));
  std::vector<std::size_t> indices;
  for (std::int64_t at = first; forward ? at < last : at > last;) {
    indices.push_back(static_cast<std::size_t>(at));
    if (stride >= size || stride <= -size) break;
    at += stride;
  }
  return indices;
}

}  // namespace

List items_of(const Value& value) {
  if (const List* list = value.list()) return shaped(Shape::list, *list);
  if (value.is<Undefined>()) return {};
  List items;
  if (const auto* text = value.as<std::string>()) {
    for (std::string& character : characters(*text)) items.emplace_back(std::move(character));
  } else if (const Dict* dict = value.dict(); dict != nullptr && !dict->is_namespace) {
    for (const auto& entry : dict->items) items.emplace_back(entry.first);
  } else {
    throw Failure{"something to go through", value.type()};
  }
  return items;
}

std::int64_t length_of(const Value& value) {
  if (const auto* text = value.as<std::string>()) return length(*text);
  const List* list = value.list();
  if (value.is_number() || (list != nullptr && list->shape == Shape::generator) || value.is<None>() ||
      value.is<Function>())
    throw Failure{"something with a length", value.type()};
  return static_cast<std::int64_t>(items_of(value).size());
}

bool contains(const Value& haystack, const Value& needle) {
  if (const auto* text = haystack.as<std::string>()) {
    const auto* part = needle.as<std::string>();
    if (part == nullptr) throw Failure{"text to be looked for in a text", needle.type()};
    return text->find(*part) != std::string::npos;
  }
  if (const Dict* dict = haystack.dict(); dict != nullptr && !dict->is_namespace) {
    const auto* key = needle.as<std::string>();
    return key != nullptr && dict->find(*key) != nullptr;
  }
  const List items = items_of(haystack);
  return std::find(items.begin(), items.end(), needle) != items.end();
}

Value item(const Value& value, const Value& key) {
  require_defined(value);
  if (const auto* name = key.as<std::string>()) return attribute(value, *name);
  require_indices(value);
  const std::int64_t* index = key.integer();
  if (index != nullptr && (value.list() != nullptr || value.is<std::string>())) {
    const std::int64_t size = length_of(value), at = *index < 0 ? *index + size : *index;
    if (at >= 0 && at < size) {
      if (const List* list = value.list()) return (*list)[static_cast<std::size_t>(at)];
      return characters(*value.as<std::string>())[static_cast<std::size_t>(at)];
    }
  }
  return Undefined{value.type() + " object has no element " + key.repr()};
}

Value attribute(const Value& value, const std::string& name) {
  require_defined(value);
  if (const Dict* dict = value.dict())
    if (const Value* found = dict->find(name)) return *found;
  return Undefined{'\'' + value.type() + " object' has no attribute '" + name + '\''};
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step) {
  require_defined(value);
  require_indices(value);
  if (const List* list = value.list()) {
    List part = shaped(list->shape, {});
    for (const std::size_t i : slice_indices(length_of(value), start, stop, step)) part.push_back((*list)[i]);
    return part;
  }
  if (const auto* text = value.as<std::string>()) {
    const std::vector<std::string> all = characters(*text);
    std::string part;
    for (const std::size_t i : slice_indices(static_cast<std::int64_t>(all.size()), start, stop, step)) part += all[i];
    return part;
  }
  throw Failure{"a list or a text to slice", value.type()};
}

Value arithmetic(std::string_view op, const Value& left, const Value& right) {
  require_defined(left);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    const std::int64_t *a = left.integer(), *b = right.integer();
    if (a != nullptr && b != nullptr && op != "/") return integers(op, *a, *b);
    return doubles(op, number_of(left), number_of(right));
  }
  const auto *a = left.as<std::string>(), *b = right.as<std::string>();
  if (op == "+" && a != nullptr && b != nullptr) return *a + *b;
  if (op == "+" && left.list() != nullptr && right.list() != nullptr && left.type() == right.type()) {
    require_indices(left);
    List joined = *left.list();
    joined.insert(joined.end(), right.list()->begin(), right.list()->end());
    return joined;
  }
  if (const std::int64_t* times = right.integer(); op == "*" && a != nullptr && times != nullptr) {
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(*times, 0));
    if (!a->empty() && count > kLongestText / a->size()) throw Failure{"at most 16 MiB of text", "more"};
    std::string text;
    for (std::size_t i = 0; i < count && !a->empty(); ++i) text += *a;
    return text;
  }
  throw Failure{"values that " + std::string(op) + " joins", left.type() + " and " + right.type()};
}

bool less(const Value& left, const Value& right, bool or_equal) {
  require_defined(left);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    const std::int64_t *a = left.integer(), *b = right.integer();
    if (a != nullptr && b != nullptr) return or_equal ? *a <= *b : *a < *b;
    return or_equal ? number_of(left) <= number_of(right) : number_of(left) < number_of(right);
  }
  const auto *a = left.as<std::string>(), *b = right.as<std::string>();
  if (a == nullptr || b == nullptr)
    throw Failure{"two numbers or two texts to compare", left.type() + " and " + right.type()};
  return or_equal ? *a <= *b : *a < *b;  // UTF-8 keeps the order of code points
}

}  // namespace qad::jinja
