#include "models/families/config_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "autograd/base/error.h"
#include "data/files/json_file.h"

namespace qad {
namespace {

using Json = ConfigReader::Json;

// A number of any kind as a double: true is none, and {"__float__": "NaN"} is one.
std::optional<double> number_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_object() || value.size() != 1 || !value.contains(kFloatTag)) return std::nullopt;
  const Json& name = value[kFloatTag];
  if (name == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (name == "Infinity") return std::numeric_limits<double>::infinity();
  if (name == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

std::optional<std::int64_t> whole_of(const Json& value) {
  const std::optional<double> number = number_of(value);
  if (!number || std::abs(*number) > 0x1p53 || *number != std::floor(*number)) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

}  // namespace

std::string one_line(const Json& value) {
  constexpr std::size_t kMost = 120;
  if (const auto number = number_of(value); number && !value.is_number()) return value[kFloatTag].get<std::string>();
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + " …";
}

bool ConfigReader::has(std::string_view key) const { return json_.is_object() && json_.contains(std::string(key)); }
bool ConfigReader::says(std::string_view key) const { return has(key) && !at(key).is_null(); }
const Json& ConfigReader::at(std::string_view key) const { return json_.at(std::string(key)); }

void ConfigReader::refuse(std::string_view key, const std::string& expected, const std::string& hint) const {
  throw Error(
      {.who = who_, .expected = expected, .got = has(key) ? one_line(at(key)) : "a config without it", .hint = hint});
}

bool ConfigReader::flag(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!says(key)) return false;  // Python's None is no truth, also where the fallback is one
  if (!at(key).is_boolean()) refuse(key, fmt::format("true or false for {}", key));
  return at(key).get<bool>();
}

std::int64_t ConfigReader::whole(std::string_view key, std::int64_t fallback, std::int64_t low) const {
  if (!says(key)) return fallback;
  const std::optional<std::int64_t> value = whole_of(at(key));
  if (!value || *value < low || *value > kLargestSize)
    refuse(key, fmt::format("a whole number from {} up, below 2^31, for {}", low, key));
  return *value;
}

std::vector<std::int64_t> ConfigReader::wholes(std::string_view key, std::int64_t low) const {
  if (!says(key)) return {};
  std::vector<std::int64_t> values;
  for (const Json& one : at(key).is_array() ? at(key) : Json::array({at(key)})) {
    const std::optional<std::int64_t> value = whole_of(one);
    if (!value || *value < low || *value > kLargestSize)
      refuse(key, fmt::format("whole numbers from {} up, below 2^31, for {}", low, key));
    values.push_back(*value);
  }
  return values;
}

double ConfigReader::number(std::string_view key, double low, bool low_counts, double fallback) const {
  if (!says(key)) return fallback;
  const std::optional<double> value = number_of(at(key));
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (!value || !(low_counts ? *value >= low : *value > low) || *value > kLargest)
    refuse(key, low_counts ? fmt::format("a number from {} up that FP32 holds for {}", low, key)
                           : fmt::format("a number above {} that FP32 holds for {}", low, key));
  return *value;
}
double ConfigReader::at_least(double low, std::string_view key, double fallback) const {
  return number(key, low, true, fallback);
}
double ConfigReader::above(double low, std::string_view key, double fallback) const {
  return number(key, low, false, fallback);
}

std::string ConfigReader::text(std::string_view key, const std::string& fallback) const {
  if (!says(key)) return fallback;
  if (!at(key).is_string()) refuse(key, fmt::format("text for {}", key));
  return at(key).get<std::string>();
}

std::vector<std::string> ConfigReader::texts(std::string_view key) const {
  std::vector<std::string> values;
  for (const Json& one : list(key)) {
    if (!one.is_string()) refuse(key, fmt::format("a list of names for {}", key));
    values.push_back(one.get<std::string>());
  }
  return values;
}

Json ConfigReader::object(std::string_view key) const {
  if (!says(key)) return Json::object();
  if (!at(key).is_object()) refuse(key, fmt::format("an object for {}", key));
  return at(key);
}

std::vector<Json> ConfigReader::list(std::string_view key) const {
  if (!says(key)) return {};
  if (!at(key).is_array()) refuse(key, fmt::format("a list for {}", key));
  return {at(key).begin(), at(key).end()};
}

}  // namespace qad
