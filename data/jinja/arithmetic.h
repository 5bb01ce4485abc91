// The operators + - * / // % ** of a template, on numbers, texts and lists. Throws Failure where Python raises.
#pragma once

#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

[[nodiscard]] Value arithmetic(std::string_view op, const Value& left, const Value& right, Budget& budget);
[[nodiscard]] Value negative(const Value& value);
[[nodiscard]] Value positive(const Value& value);

}  // namespace qad::jinja
