// What templates find built in: filters, tests and methods. All throw Failure for what they can't do.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/jinja/value.h"

namespace qad::jinja {

/// What a call is given.
struct Arguments {
  std::vector<Value> in_order;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument that stands at `index` or has this name; null if there is none.
  [[nodiscard]] const Value* find(std::size_t index, std::string_view name) const;
  /// Throws Failure unless there are no others than `names`, and at least the first `required` of these.
  void check(std::string_view callee, std::initializer_list<std::string_view> names, std::size_t required = 0) const;
};

[[nodiscard]] bool is_filter(std::string_view name);
[[nodiscard]] std::string filter_names();
[[nodiscard]] Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);

[[nodiscard]] bool is_test(std::string_view name);
[[nodiscard]] bool test_takes_argument(std::string_view name);
[[nodiscard]] std::string test_names();
/// `argument` is ignored by tests that take none.
[[nodiscard]] bool apply_test(const std::string& name, const Value& value, const Value& argument);

/// Whether Python's type of the value has such a method: a word of its own, not a key.
[[nodiscard]] bool has_method(const Value& value, std::string_view name);
[[nodiscard]] Value call_method(const Value& value, const std::string& name, const Arguments& arguments);

}  // namespace qad::jinja
