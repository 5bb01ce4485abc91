#include "data/jinja/sequences.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/files/utf8.h"
#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/methods.h"
#include "data/jinja/numbers.h"
#include "data/jinja/objects.h"
#include "data/jinja/printing.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100'000;

// The `count` indices that a slice takes, from `first` on by `step`, before `last`.
struct Indices {
  std::int64_t first, last, step, count;
};

Indices slice_indices(std::int64_t size, const Value& start, const Value& stop, const Value& step) {
  const auto bound = [](const Value& value, std::int64_t otherwise) {
    if (value.is<None>()) return otherwise;
    if (const std::int64_t* number = value.integer()) return *number;
    if (value.is<BigInteger>()) return digits_of(value).starts_with('-') ? INT64_MIN : INT64_MAX;
    throw Failure{"integers or nothing around the colons of a slice", value.type()};
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
  const std::int64_t way = forward ? last - first : first - last;
  const std::int64_t pace = std::clamp(stride, -size - 1, size + 1);  // beyond which all are one item
  return {first, last, pace, way <= 0 ? 0 : 1 + (way - 1) / (forward ? pace : -pace)};
}

Value slice_text(const Text& text, const Indices& taken, Budget& budget) {
  const auto first = static_cast<std::size_t>(std::max<std::int64_t>(taken.first, 0));
  const auto count = static_cast<std::size_t>(taken.count);
  const bool ascii = text.characters == text.bytes.size();
  if (taken.step == 1 || count <= 1) {
    budget.read(ascii ? 0 : text.bytes.size());
    const std::size_t begin = ascii ? first : byte_of(text.bytes, first);
    const std::string_view rest = std::string_view(text.bytes).substr(std::min(begin, text.bytes.size()));
    return make_text(rest.substr(0, ascii ? count : byte_of(rest, count)), budget, text.safe);
  }
  std::vector<std::size_t> places;  // where each character begins
  if (!ascii) {
    budget.make(text.characters * sizeof(std::size_t));
    for (std::size_t at = 0; at < text.bytes.size(); at += utf8_length(text.bytes[at])) places.push_back(at);
  }
  std::string part;
  Writer out(part, budget);
  for (std::int64_t i = 0, at = taken.first; i < taken.count; ++i, at += taken.step) {
    budget.work();
    const std::size_t place = ascii ? static_cast<std::size_t>(at) : places[static_cast<std::size_t>(at)];
    out.add(std::string_view(text.bytes).substr(place, utf8_length(text.bytes[place])));
  }
  return Value(std::move(part), text.safe);
}

Value character(const Text& text, std::size_t index, Budget& budget) {
  const bool ascii = text.characters == text.bytes.size();
  budget.read(ascii ? 0 : text.bytes.size());
  const std::size_t at = ascii ? index : byte_of(text.bytes, index);
  return make_text(std::string_view(text.bytes).substr(at, utf8_length(text.bytes[at])), budget, text.safe);
}

}  // namespace

Items items_of(const Value& value, Budget& budget) {
  budget.work();
  if (const auto* shared = value.shared_list()) {
    const List& list = **shared;
    const std::size_t begin = list.taken;
    if (list.shape == Shape::generator) list.taken = list.items.size();
    return {*shared, std::span(list.items).subspan(begin)};
  }
  ListBuilder items(budget);
  if (const std::string* text = value.bytes()) {
    for (std::size_t at = 0; at < text->size(); at += utf8_length((*text)[at]))
      items.add_text(std::string_view(*text).substr(at, utf8_length((*text)[at])));
  } else if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->entries()) items.add(entry.first);
  } else if (!value.is<Undefined>()) {
    throw Failure{"something to go through", value.type()};
  }
  const auto made = std::make_shared<const List>(items.take());
  return {made, made->items};
}

bool can_be_gone_through(const Value& value) {
  return value.bytes() != nullptr || value.list() != nullptr || value.dict() != nullptr || value.is<Undefined>() ||
         value.object_as<Loop>() != nullptr;
}

List list_of(const Items& items, Shape shape, Budget& budget) {
  ListBuilder list(budget, shape);
  for (const Value& entry : items.all) list.add(entry);
  return list.take();
}

std::int64_t length_of(const Value& value) {
  if (const Text* text = value.text()) return static_cast<std::int64_t>(text->characters);
  if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->size());
  if (const auto* loop = value.object_as<Loop>()) return static_cast<std::int64_t>(loop->items.all.size());
  if (value.is<Undefined>()) return 0;
  const List* list = value.list();
  if (list == nullptr || list->shape == Shape::generator) throw Failure{"something with a length", value.type()};
  return static_cast<std::int64_t>(list->items.size());
}

bool contains(const Value& haystack, const Value& needle, Budget& budget) {
  if (const std::string* text = haystack.bytes()) {
    const std::string* part = needle.bytes();
    if (part == nullptr) throw Failure{"text to be looked for in a text", needle.type()};
    return find_text(*text, *part, budget) != std::string::npos;
  }
  if (const Dict* dict = haystack.dict()) {
    budget.read(needle.bytes() != nullptr ? needle.bytes()->size() : 0);
    return dict->find_key(needle) != nullptr;
  }
  const List* list = haystack.list();
  const Items items = items_of(haystack, budget);
  for (std::size_t i = 0; i < items.all.size(); ++i) {
    if (!equal(items.all[i], needle, budget)) continue;
    if (list != nullptr && list->shape == Shape::generator) list->taken -= items.all.size() - i - 1;
    return true;
  }
  return false;
}

Value item(const Value& value, const Value& key, Budget& budget) {
  require_defined(value);
  if (const Dict* dict = value.dict()) {
    budget.read(key.bytes() != nullptr ? key.bytes()->size() : 0);
    const bool known = key.list() == nullptr || key.list()->shape == Shape::tuple;  // others Python can't look up
    if (const Value* found = known && key.dict() == nullptr ? dict->find_key(key) : nullptr) return *found;
  } else if (const std::int64_t* index = key.integer()) {
    const List* list = value.list();
    const bool indexed = value.text() != nullptr || (list != nullptr && list->has_indices());
    const std::int64_t size = indexed ? length_of(value) : 0, at = *index < 0 ? *index + size : *index;
    if (at >= 0 && at < size) {
      if (list != nullptr) return list->items[static_cast<std::size_t>(at)];
      return character(*value.text(), static_cast<std::size_t>(at), budget);
    }
  }
  if (const std::string* name = key.bytes()) return attribute(value, *name, budget);
  return Undefined(fmt::format("{} object has no element {}", value.type(),
                               key.is_number() || key.is<None>() ? printed(key, budget) : key.type()));
}

Value attribute(const Value& value, const std::string& name, Budget& budget) {
  require_defined(value);
  if (has_method(value, name)) {
    budget.make(sizeof(Method));
    return Value(std::make_shared<Method>(value, name));
  }
  if (const Object* object = value.object()) return object->attribute(name);
  if (const Dict* dict = value.dict()) {
    budget.read(name.size());
    if (const Value* found = dict->find(std::string_view(name))) return *found;
  }
  const List* list = value.list();
  if (list != nullptr && list->shape == Shape::range)
    for (const auto& [bound, i] : {std::pair("start", 0u), std::pair("stop", 1u), std::pair("step", 2u)})
      if (name == bound) return list->bounds[i];
  if (list != nullptr && list->is_group && (name == "grouper" || name == "list"))
    return list->items[name == "list" ? 1 : 0];
  if ((list != nullptr && list->shape == Shape::list) || value.dict() != nullptr) {
    static constexpr std::string_view kChanging[] = {"append", "clear",  "pop",     "reverse",    "insert", "sort",
                                                     "extend", "remove", "popitem", "setdefault", "update"};
    if (std::ranges::find(kChanging, name) != std::end(kChanging))
      return Undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe", name, value.type()));
  }
  return Undefined(fmt::format("'{} object' has no attribute '{}'", value.type(), name.substr(0, 100)));
}

Value item_at_path(Value value, const Value& path, Budget& budget, const Value* otherwise) {
  const auto step = [&](const Value& key) {
    value = item(value, key, budget);
    if (otherwise != nullptr && value.is<Undefined>()) value = *otherwise;
  };
  const std::string* name = path.bytes();
  if (name == nullptr) {
    if (!path.is<None>()) step(path);
    return value;
  }
  budget.read(name->size());
  split(*name, ".", -1, Side::left, budget, [&](std::string_view part) {
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    step(digits ? integer_from_digits(part) : make_text(part, budget));
  });
  return value;
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  require_defined(value);
  const List* list = value.list();
  if (value.text() == nullptr && (list == nullptr || !list->has_indices()))
    throw Failure{"a list or a text to slice", value.type(),
                  list != nullptr ? "its items can be put in a list with | list" : ""};
  const Indices taken = slice_indices(length_of(value), start, stop, step);
  if (list == nullptr) return slice_text(*value.text(), taken, budget);
  if (list->shape == Shape::range) {
    const auto [begin, end, pace] = list->bounds;
    std::int64_t first = 0, last = 0, each = 0;
    bool over = __builtin_mul_overflow(taken.step, pace, &each);
    over |= __builtin_mul_overflow(taken.first, pace, &first) || __builtin_add_overflow(begin, first, &first);
    over |= __builtin_mul_overflow(taken.last, pace, &last) || __builtin_add_overflow(begin, last, &last);
    if (over) throw Failure{"a slice of a range with bounds within 64 bits", "larger ones"};
    return make_range(first, last, each, budget);
  }
  ListBuilder part(budget, list->shape);
  for (std::int64_t i = 0, at = taken.first; i < taken.count; ++i, at += taken.step)
    part.add(list->items[static_cast<std::size_t>(at)]);
  return part.take();
}

Value make_range(std::int64_t start, std::int64_t stop, std::int64_t step, Budget& budget) {
  if (step == 0) throw Failure{"a range step other than 0", "0"};
  ListBuilder items(budget, Shape::range);
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kLongestRange) throw Failure{"a range of at most 100000", "more"};
    items.add(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  List range = items.take();
  range.bounds = {start, stop, step};
  return range;
}

}  // namespace qad::jinja
