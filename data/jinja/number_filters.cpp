// Filters that make numbers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "data/jinja/compare.h"
#include "data/jinja/failure.h"
#include "data/jinja/filters.h"
#include "data/jinja/numbers.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::size_t kFloatPasses = 8;  // of parse_float over all of a text

// Python knows the digits of all scripts.
void require_ascii(std::string_view text) {
  const auto other = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  if (std::ranges::any_of(strip(text, std::nullopt, Side::both), other))
    throw Failure{"ASCII text to make a number of", "other characters", kPart};
}

Value number_or_fail(const Value& value) {
  require_defined(value);
  if (!value.is_number()) throw Failure{"a number", value.type()};
  return value;
}

Value to_int(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("int", {"default", "base"});
  require_defined(value);
  const Value* otherwise = arguments.find(0, "default");
  const std::int64_t base = integer_or(arguments.find(1, "base"), 10, "base");
  if (base < 2 || base > 36) throw Failure{"a base of 2 to 36", std::to_string(base)};
  double number = 0;
  if (const std::string* text = value.bytes()) {
    budget.read(64 * std::min<std::size_t>(text->size(), 5000) + text->size());
    require_ascii(*text);
    Value result;
    if (parse_integer(*text, static_cast<unsigned>(base), result)) return result;
    budget.read(kFloatPasses * text->size());
    if (parse_float(*text, number) && std::isfinite(number)) return truncated(number);
  } else if (const auto* real = value.as<double>()) {
    if (std::isfinite(*real)) return truncated(*real);
  } else if (const std::int64_t* integer = value.integer()) {
    return *integer;
  } else if (value.is<BigInteger>()) {
    return value;
  }
  return otherwise != nullptr ? *otherwise : Value(std::int64_t{0});
}

Value to_float(const Value& value, const Arguments& arguments, Budget& budget) {
  arguments.check("float", {"default"});
  require_defined(value);
  const Value* otherwise = arguments.find(0, "default");
  if (value.is_number()) return to_double(value);
  double number = 0;
  if (const std::string* text = value.bytes()) {
    budget.read(kFloatPasses * text->size());
    require_ascii(*text);
    if (parse_float(*text, number)) return number;
  }
  return otherwise != nullptr ? *otherwise : Value(0.0);
}

Value absolute(const Value& value, const Arguments& arguments, Budget&) {
  arguments.check("abs", {});
  const Value number = number_or_fail(value);
  if (const auto* real = number.as<double>()) return std::abs(*real);
  if (digits_of(number).starts_with('-')) return negated(number);
  return number.integer() != nullptr ? Value(*number.integer()) : number;
}

Value round_filter(const Value& value, const Arguments& arguments, Budget&) {
  arguments.check("round", {"precision", "method"});
  const Value* method = arguments.find(1, "method");
  return rounded(number_or_fail(value), integer_or(arguments.find(0, "precision"), 0, "a precision"),
                 method != nullptr ? text_of(*method, "a method") : "common");
}

}  // namespace

std::span<const Filter> number_filters() {
  static constexpr auto kFilters = std::to_array<Filter>({
      {"abs", absolute},
      {"float", to_float},
      {"int", to_int},
      {"round", round_filter},
  });
  return kFilters;
}

}  // namespace qad::jinja
