// Python's numbers: integers without a bound, truths among them, and floats. Integers beyond 64 bits are kept, compared
// and printed digit by digit; arithmetic with them, or that leads to them, is refused.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

/// Of digits in base 2, 8, 10 or 16 that somebody has checked. Throws Failure beyond 4300, as Python does.
[[nodiscard]] Value integer_from_digits(std::string_view digits, unsigned base = 10, bool negative = false);
/// int(): without the fraction. Throws Failure for infinities and NaN.
[[nodiscard]] Value truncated(double number);
/// float(). Throws Failure for an integer that is too large.
[[nodiscard]] double to_double(const Value& number);

/// str(); a truth is True or False.
[[nodiscard]] std::string number_text(const Value& number);
/// The decimal digits of an integer, a truth being 0 or 1.
[[nodiscard]] std::string digits_of(const Value& integer);
/// Equal for equal numbers: 1, 1.0 and true.
[[nodiscard]] std::string number_name(const Value& number);
/// repr() of a float: the shortest digits that give it back.
[[nodiscard]] std::string shortest(double number);

[[nodiscard]] std::partial_ordering compare_numbers(const Value& left, const Value& right);
[[nodiscard]] Value negated(const Value& number);
/// The operators + - * / // % **. Throws Failure for what has no result.
[[nodiscard]] Value calculate(std::string_view op, const Value& left, const Value& right);
/// Jinja's filter `round`; `method` is common, ceil or floor.
[[nodiscard]] Value rounded(const Value& number, std::int64_t precision, std::string_view method);

/// int() and float() of a text; false where Python raises ValueError.
[[nodiscard]] bool parse_integer(std::string_view text, unsigned base, Value& result);
[[nodiscard]] bool parse_float(std::string_view text, double& result);

}  // namespace qad::jinja
