// What a call is given, and how filters, tests, methods and functions take it apart. All throw Failure.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/jinja/value.h"

namespace qad::jinja {

struct Arguments {
  std::vector<Value> in_order;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument that stands at `index` or has this name; null if there is none.
  [[nodiscard]] const Value* find(std::size_t index, std::string_view name) const;
  /// Throws Failure unless there are no others than `names`, and at least the first `required` of these.
  void check(std::string_view callee, std::initializer_list<std::string_view> names, std::size_t required = 0) const;
  /// Those behind the first `count`.
  [[nodiscard]] Arguments behind(std::size_t count) const;
};

[[nodiscard]] std::int64_t integer_of(const Value& value, std::string_view what);
/// `otherwise` for no argument, and for None.
[[nodiscard]] std::int64_t integer_or(const Value* value, std::int64_t otherwise, std::string_view what);
[[nodiscard]] const std::string& text_of(const Value& value, std::string_view what);
/// Nothing for no argument, and for None.
[[nodiscard]] std::optional<std::string_view> optional_text(const Value* value, std::string_view what);
[[nodiscard]] inline bool is_true(const Value* value) { return value != nullptr && value->truth(); }

}  // namespace qad::jinja
