// Lists, texts and dicts from outside: what a loop goes through, lengths, `in`, items, attributes and slices.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

/// What is gone through, in place where it is a list.
struct Items {
  std::shared_ptr<const List> owner;
  std::span<const Value> all;

  [[nodiscard]] int depth() const { return owner->depth; }
};

/// A list's items, a dict's keys, a text's characters, nothing of the undefined; what is left of a generator, which is
/// then empty. Throws Failure for other values.
[[nodiscard]] Items items_of(const Value& value, Budget& budget);
[[nodiscard]] bool can_be_gone_through(const Value& value);
[[nodiscard]] List list_of(const Items& items, Shape shape, Budget& budget);
[[nodiscard]] std::int64_t length_of(const Value& value);
/// `needle in haystack`.
[[nodiscard]] bool contains(const Value& haystack, const Value& needle, Budget& budget);

/// value[key] and value.key: undefined where there is no such thing, Failure for what is itself undefined.
[[nodiscard]] Value item(const Value& value, const Value& key, Budget& budget);
[[nodiscard]] Value attribute(const Value& value, const std::string& name, Budget& budget);
/// item.a.b for the name "a.b"; a part in digits is an index. `otherwise` instead of what is not there.
[[nodiscard]] Value item_at_path(Value value, const Value& path, Budget& budget, const Value* otherwise = nullptr);
/// value[start:stop:step]; None leaves a bound out.
[[nodiscard]] Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Budget& budget);

/// Range and its items. Throws Failure beyond 100,000 of them, as Jinja's sandbox does.
[[nodiscard]] Value make_range(std::int64_t start, std::int64_t stop, std::int64_t step, Budget& budget);

}  // namespace qad::jinja
