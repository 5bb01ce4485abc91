// Typed values out of a JSON object that another program wrote, a config.json above all: each is checked where it is
// read, and refused by its key. What a missing or null key means is the caller's default.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

/// The largest size that a config may name: products of two fit into 64 bits.
inline constexpr std::int64_t kLargestSize = (std::int64_t{1} << 31) - 1;

class ConfigReader {
 public:
  using Json = nlohmann::ordered_json;

  /// The object must outlive this; `who` names it in errors.
  ConfigReader(const Json& object, std::string who) : json_(object), who_(std::move(who)) {}

  [[nodiscard]] const std::string& who() const { return who_; }
  [[nodiscard]] const Json& whole_object() const { return json_; }
  [[nodiscard]] bool has(std::string_view key) const;   ///< there, be it null
  [[nodiscard]] bool says(std::string_view key) const;  ///< there and not null
  /// The value of a key that is there.
  [[nodiscard]] const Json& at(std::string_view key) const;

  /// null is false.
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const;
  /// A whole number from `low` to kLargestSize, which Python may have written as 64.0.
  [[nodiscard]] std::int64_t whole(std::string_view key, std::int64_t fallback, std::int64_t low) const;
  /// The same, or several of them in a list.
  [[nodiscard]] std::vector<std::int64_t> wholes(std::string_view key, std::int64_t low) const;
  /// A number from `low` on, or above it, that FP32 holds.
  [[nodiscard]] double at_least(double low, std::string_view key, double fallback) const;
  [[nodiscard]] double above(double low, std::string_view key, double fallback) const;
  [[nodiscard]] std::string text(std::string_view key, const std::string& fallback) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const;
  /// An object; an empty one where there is none.
  [[nodiscard]] Json object(std::string_view key) const;
  [[nodiscard]] std::vector<Json> list(std::string_view key) const;

  /// Throws: `expected`, a sentence about this key, against the value that it has.
  [[noreturn]] void refuse(std::string_view key, const std::string& expected, const std::string& hint = "") const;

 private:
  [[nodiscard]] double number(std::string_view key, double low, bool low_counts, double fallback) const;

  const Json& json_;
  std::string who_;
};

/// A value as one line of JSON, long ones cut.
[[nodiscard]] std::string one_line(const nlohmann::ordered_json& value);

}  // namespace qad
