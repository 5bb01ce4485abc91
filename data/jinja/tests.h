// Tests: what stands behind `is`.
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/arguments.h"
#include "data/jinja/value.h"

namespace qad::jinja {

[[nodiscard]] bool is_test(std::string_view name);
[[nodiscard]] std::string test_names();
/// Throws Failure for a test that we don't have, or that takes other arguments.
[[nodiscard]] bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Budget& budget);

}  // namespace qad::jinja
