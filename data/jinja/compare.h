// == and < of Python's values, and the order of sort. Throws Failure for values that Python can't compare.
#pragma once

#include "data/jinja/value.h"

namespace qad::jinja {

[[nodiscard]] bool equal(const Value& left, const Value& right, Budget& budget);
[[nodiscard]] bool less(const Value& left, const Value& right, bool or_equal, Budget& budget);

/// Throws Failure if it is undefined.
void require_defined(const Value& value);

}  // namespace qad::jinja
