#include "data/jinja/formatting.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "data/jinja/failure.h"
#include "data/jinja/numbers.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::int64_t kWidest = 100'000;
constexpr std::int64_t kMostDecimals = 500;

std::string float_text(double number, char type, const Field& field) {
  const std::int64_t precision = field.precision.value_or(6);
  if (precision > kMostDecimals)
    throw Failure{fmt::format("at most {} decimals", kMostDecimals), std::to_string(precision)};
  const bool upper = type < 'a';
  number = std::abs(number);
  if (!std::isfinite(number)) return std::isnan(number) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf";
  const std::string how = std::string(field.alternate ? "%#.*" : "%.*") + type;
  std::array<char, 1024> text{};
  std::snprintf(text.data(), text.size(), how.c_str(), static_cast<int>(precision), number);
  return text.data();
}

std::string integer_text(const Value& number, char type) {
  const std::int64_t* small = number.integer();
  if (type == 'd') {
    std::string digits = digits_of(number);
    if (digits.starts_with('-')) digits.erase(0, 1);
    return digits;
  }
  if (small == nullptr) throw Failure{fmt::format("an integer within 64 bits for the type '{}'", type), "a larger one"};
  const std::uint64_t size = *small < 0 ? 0 - static_cast<std::uint64_t>(*small) : static_cast<std::uint64_t>(*small);
  if (type == 'x') return fmt::format("{:x}", size);
  if (type == 'X') return fmt::format("{:X}", size);
  return type == 'o' ? fmt::format("{:o}", size) : fmt::format("{:b}", size);
}

void fill(const Field& field, std::int64_t times, Writer& out) {
  if (field.fill.size() == 1) return out.add(static_cast<std::size_t>(std::max<std::int64_t>(times, 0)), field.fill[0]);
  for (std::int64_t i = 0; i < times; ++i) out.add(field.fill);
}

}  // namespace

std::int64_t width_of(std::string_view digits) {
  std::int64_t width = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), width);
  if (end.ec != std::errc() || width > kWidest)
    throw Failure{fmt::format("a width of at most {}", kWidest), std::string(digits.substr(0, 30))};
  return width;
}

std::string_view cut(std::string_view text, const std::optional<std::int64_t>& characters) {
  return characters ? text.substr(0, byte_of(text, static_cast<std::size_t>(*characters))) : text;
}

void pad(std::string_view text, const Field& field, Writer& out) {
  const std::int64_t space = std::max<std::int64_t>(field.width - length(text), 0);
  const std::int64_t left = field.align == '<' ? 0 : field.align == '^' ? space / 2 : space;
  fill(field, left, out);
  out.add(text);
  fill(field, space - left, out);
}

void pad_number(std::string_view sign, std::string_view digits, const Field& field, Writer& out) {
  if (field.align != '=') return pad(std::string(sign).append(digits), field, out);
  out.add(sign);
  fill(field, field.width - static_cast<std::int64_t>(sign.size() + digits.size()), out);
  out.add(digits);
}

std::string magnitude(const Value& number, char type, const Field& field) {
  if (std::string_view("dxXob").find(type) != std::string_view::npos) return integer_text(number, type);
  return float_text(to_double(number), type, field);
}

std::string sign_of(const Value& number, const Field& field) {
  const auto* value = number.as<double>();
  const bool negative =
      value != nullptr ? std::signbit(*value) && !std::isnan(*value) : digits_of(number).starts_with('-');
  return negative ? "-" : field.sign == '-' ? "" : std::string(1, field.sign);
}

}  // namespace qad::jinja
