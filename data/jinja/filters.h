// Filters: what stands behind |. All throw Failure for what they can't do.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/jinja/arguments.h"
#include "data/jinja/value.h"

namespace qad::jinja {

[[nodiscard]] bool is_filter(std::string_view name);
[[nodiscard]] std::string filter_names();
[[nodiscard]] Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget);

struct Filter {
  std::string_view name;
  Value (*apply)(const Value& value, const Arguments& arguments, Budget& budget);
};
// Kinds of filters, each in a file of its own.
[[nodiscard]] std::span<const Filter> choosing_filters();
[[nodiscard]] std::span<const Filter> list_filters();
[[nodiscard]] std::span<const Filter> number_filters();
[[nodiscard]] std::span<const Filter> text_filters();

}  // namespace qad::jinja
