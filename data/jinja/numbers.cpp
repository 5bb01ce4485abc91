#include "data/jinja/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "data/jinja/failure.h"
#include "data/jinja/strings.h"

namespace qad::jinja {
namespace {

constexpr std::size_t kMostDigits = 4300;  // Python's own limit between integers and text

Value big(std::string digits) { return BigInteger{std::make_shared<const std::string>(std::move(digits))}; }

unsigned digit_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower >= 'a' && lower <= 'z' ? static_cast<unsigned>(lower - 'a') + 10 : 99;
}

// Digits of another base in base 10.
std::string decimal(std::string_view digits, unsigned base) {
  constexpr std::uint64_t kLimb = 1'000'000'000;
  std::vector<std::uint64_t> limbs = {0};
  for (const char c : digits) {
    std::uint64_t carry = digit_value(c);
    for (std::uint64_t& limb : limbs) {
      carry += limb * base;
      limb = carry % kLimb;
      carry /= kLimb;
    }
    if (carry > 0) limbs.push_back(carry);
  }
  std::string text = std::to_string(limbs.back());
  for (std::size_t i = limbs.size() - 1; i > 0; --i) text += fmt::format("{:09}", limbs[i - 1]);
  return text;
}

// < 0, 0 or > 0 for integers as decimal digits.
int compare_digits(std::string_view a, std::string_view b) {
  const bool a_below = a.starts_with('-'), b_below = b.starts_with('-');
  if (a_below != b_below) return a_below ? -1 : 1;
  const int order = a.size() != b.size() ? (a.size() < b.size() ? -1 : 1) : a.compare(b);
  return a_below ? -order : order;
}

std::partial_ordering compare_with(std::int64_t a, double b) {
  constexpr double kBeyond = 9223372036854775808.0;
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= kBeyond) return std::partial_ordering::less;
  if (b < -kBeyond) return std::partial_ordering::greater;
  const auto whole = static_cast<std::int64_t>(b);
  if (a != whole) return a <=> whole;
  return 0.0 <=> b - static_cast<double>(whole);
}

std::partial_ordering compare_with(const std::string& digits, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (std::isinf(b)) return 0.0 <=> b;
  return compare_digits(digits, fmt::format("{:.0f}", std::trunc(b))) <=> 0;  // no fraction where it matters
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw Failure{"a base other than 0 for a power below 0", "0"};
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  std::int64_t result = 1, square = base;
  bool overflow = false;
  for (std::int64_t rest = exponent; rest > 0 && !overflow; rest /= 2) {
    if (rest % 2 == 1) overflow = __builtin_mul_overflow(result, square, &result);
    // The last square is not used; of 0, 1 and -1 none overflows.
    if (rest > 1 && __builtin_mul_overflow(square, square, &square)) overflow = true;
  }
  if (overflow) throw Failure{"a result of ** within 64 bits", "a larger one"};
  return result;
}

Value integers(std::string_view op, std::int64_t a, std::int64_t b) {
  if (op == "**") return power(a, b);
  if (b == 0 && op != "+" && op != "-" && op != "*") throw Failure{"a divisor", "0"};
  if (op == "/") {
    constexpr std::int64_t kExact = std::int64_t{1} << 53;
    if (a > kExact || a < -kExact || b > kExact || b < -kExact)
      throw Failure{"integers within 53 bits for /", "a larger one"};
    return static_cast<double>(a) / static_cast<double>(b);
  }
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "+") overflow = __builtin_add_overflow(a, b, &result);
  else if (op == "-") overflow = __builtin_sub_overflow(a, b, &result);
  else if (op == "*") overflow = __builtin_mul_overflow(a, b, &result);
  else if (b == -1) overflow = op == "//" && __builtin_sub_overflow(std::int64_t{0}, a, &result);
  else {
    // Python rounds down, C++ towards zero.
    const std::int64_t rest = a % b, down = rest != 0 && (rest < 0) != (b < 0) ? 1 : 0;
    result = op == "//" ? a / b - down : rest + down * b;
  }
  if (overflow) throw Failure{fmt::format("a result of {} within 64 bits", op), "a larger one"};
  return result;
}

Value doubles(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") {
    const double result = std::pow(a, b);
    const bool finite = std::isfinite(a) && std::isfinite(b);
    if (finite && !std::isfinite(result)) throw Failure{"a power that is a float", fmt::format("{} ** {}", a, b)};
    return result;
  }
  if (b == 0) throw Failure{"a divisor", "0"};
  if (op == "/") return a / b;
  double modulo = std::fmod(a, b), quotient = (a - modulo) / b;
  if (modulo == 0) {
    modulo = std::copysign(0.0, b);
  } else if ((b < 0) != (modulo < 0)) {
    modulo += b;
    quotient -= 1;
  }
  if (op == "%") return modulo;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double down = std::floor(quotient);
  return quotient - down > 0.5 ? down + 1 : down;
}

}  // namespace

Value integer_from_digits(std::string_view digits, unsigned base, bool negative) {
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.size() > kMostDigits)
    throw Failure{fmt::format("an integer of at most {} digits", kMostDigits), std::to_string(digits.size())};
  std::string text = base == 10 ? std::string(digits) : decimal(digits, base);
  if (text.empty()) text = "0";
  if (negative) text.insert(0, "-");
  std::int64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc()) return number;
  return big(std::move(text));
}

Value truncated(double number) {
  if (!std::isfinite(number)) throw Failure{"a finite number to make an integer of", shortest(number)};
  const std::string text = fmt::format("{:.0f}", std::trunc(number));
  const bool negative = text.starts_with('-');
  return integer_from_digits(std::string_view(text).substr(negative ? 1 : 0), 10, negative);
}

double to_double(const Value& number) {
  if (const std::int64_t* integer = number.integer()) return static_cast<double>(*integer);
  if (const auto* value = number.as<double>()) return *value;
  const double value = std::strtod(number.as<BigInteger>()->digits->c_str(), nullptr);
  if (std::isinf(value)) throw Failure{"an integer that a float can hold", "a larger one"};
  return value;
}

std::string digits_of(const Value& integer) {
  if (const auto* large = integer.as<BigInteger>()) return *large->digits;
  return std::to_string(*integer.integer());
}

std::string number_text(const Value& number) {
  if (const auto* truth = number.as<bool>()) return *truth ? "True" : "False";
  if (const auto* value = number.as<double>()) return shortest(*value);
  return digits_of(number);
}

std::string number_name(const Value& number) {
  const auto* value = number.as<double>();
  if (value == nullptr) return digits_of(number);
  if (std::isfinite(*value) && *value == std::trunc(*value)) return digits_of(truncated(*value));
  return shortest(*value);
}

std::string shortest(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::partial_ordering compare_numbers(const Value& left, const Value& right) {
  const std::int64_t *a = left.integer(), *b = right.integer();
  if (a != nullptr && b != nullptr) return *a <=> *b;
  const auto *x = left.as<double>(), *y = right.as<double>();
  if (x != nullptr && y != nullptr) return *x <=> *y;
  if (x != nullptr) return 0 <=> compare_numbers(right, left);
  if (y != nullptr) return a != nullptr ? compare_with(*a, *y) : compare_with(digits_of(left), *y);
  return compare_digits(digits_of(left), digits_of(right)) <=> 0;
}

Value negated(const Value& number) {
  if (const auto* value = number.as<double>()) return -*value;
  const std::string digits = digits_of(number);
  const bool negative = digits.starts_with('-');
  return integer_from_digits(std::string_view(digits).substr(negative ? 1 : 0), 10, !negative);
}

Value calculate(std::string_view op, const Value& left, const Value& right) {
  if (left.is<BigInteger>() || right.is<BigInteger>())
    throw Failure{fmt::format("integers within 64 bits for {}", op), "a larger one"};
  const std::int64_t *a = left.integer(), *b = right.integer();
  if (a != nullptr && b != nullptr) return integers(op, *a, *b);
  return doubles(op, to_double(left), to_double(right));
}

Value rounded(const Value& number, std::int64_t precision, std::string_view method) {
  if (precision < 0 || precision > 300) throw Failure{"a precision of 0 to 300 digits", std::to_string(precision)};
  if (method == "common") {
    if (const std::int64_t* integer = number.integer()) return *integer;
    const auto* value = number.as<double>();
    if (value == nullptr || !std::isfinite(*value)) return number;
    return std::strtod(fmt::format("{:.{}f}", *value, precision).c_str(), nullptr);
  }
  if (method != "ceil" && method != "floor")
    throw Failure{"common, ceil or floor as a method to round", fmt::format("'{}'", method)};
  const double scale = std::pow(10.0, static_cast<double>(precision)), scaled = to_double(number) * scale;
  if (!std::isfinite(scaled)) throw Failure{"a finite number to round", shortest(scaled)};
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

bool parse_integer(std::string_view text, unsigned base, Value& result) {
  text = strip(text, std::nullopt, Side::both);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const unsigned says = mark == 'x' ? 16u : mark == 'o' ? 8u : mark == 'b' ? 2u : 0u;
    if (says == base) text.remove_prefix(text[2] == '_' ? 3 : 2);
  }
  std::string digits;
  char before = '_';
  for (const char c : text) {
    if (c == '_' ? before == '_' : digit_value(c) >= base) return false;
    if (c != '_') digits += c;
    if (digits.size() > kMostDigits) return false;
    before = c;
  }
  if (before == '_') return false;
  result = integer_from_digits(digits, base, negative);
  return true;
}

bool parse_float(std::string_view text, double& result) {
  const std::string stripped(strip(text, std::nullopt, Side::both));
  std::string digits;
  for (std::size_t i = 0; i < stripped.size(); ++i) {
    const auto digit_at = [&](std::size_t at) { return at < stripped.size() && digit_value(stripped[at]) < 10; };
    if (stripped[i] == '_' && i > 0 && digit_at(i - 1) && digit_at(i + 1)) continue;
    digits += stripped[i];
  }
  std::string word = digits.substr(std::min(digits.find_first_not_of("+-"), std::min<std::size_t>(1, digits.size())));
  for (char& c : word) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  const bool named = word == "inf" || word == "infinity" || word == "nan";
  if (digits.empty() || (!named && digits.find_first_not_of("0123456789+-.eE") != std::string::npos)) return false;
  char* end = nullptr;
  result = std::strtod(digits.c_str(), &end);
  return end == digits.c_str() + digits.size();
}

}  // namespace qad::jinja
