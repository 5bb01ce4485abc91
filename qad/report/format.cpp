#include "qad/report/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace qad {
namespace {

constexpr std::string_view kNotMeasured = "–";

struct CodePoints {
  char32_t first, last;
};
// Unicode 15: general combining marks and zero-width characters; East Asian Wide and Fullwidth blocks; emoji.
constexpr std::array<CodePoints, 5> kZeroWidth = {
    {{0x0300, 0x036f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}}};
constexpr std::array<CodePoints, 10> kWide = {{{0x1100, 0x115f},
                                               {0x2e80, 0x303e},
                                               {0x3041, 0xa4cf},
                                               {0xac00, 0xd7a3},
                                               {0xf900, 0xfaff},
                                               {0xfe30, 0xfe6f},
                                               {0xff00, 0xff60},
                                               {0xffe0, 0xffe6},
                                               {0x1f300, 0x1faff},
                                               {0x20000, 0x3fffd}}};

template <std::size_t N>
bool within(const std::array<CodePoints, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](CodePoints range) { return range.first <= c && c <= range.last; });
}

}  // namespace

std::string format_fixed(double value, int digits) {
  return std::isnan(value) ? std::string(kNotMeasured) : fmt::format("{:.{}f}", value, digits);
}

std::string format_significant(double value, int digits) {
  return std::isnan(value) ? std::string(kNotMeasured) : fmt::format("{:.{}g}", value, digits);
}

std::string format_with_error(double value, double standard_error) {
  if (std::isnan(value) || !std::isfinite(standard_error) || standard_error <= 0.0) return format_significant(value);
  const int digits = std::clamp(1 - static_cast<int>(std::floor(std::log10(standard_error))), 0, 8);
  return fmt::format("{:.{}f} ± {:.{}f}", value, digits, standard_error, digits);
}

std::string format_percent(double fraction, int digits) {
  return std::isnan(fraction) ? std::string(kNotMeasured) : fmt::format("{:.{}f} %", 100.0 * fraction, digits);
}

std::string format_percent_with_error(double fraction, double standard_error) {
  const bool has_error = std::isfinite(standard_error) && standard_error > 0.0;
  return has_error ? format_with_error(100.0 * fraction, 100.0 * standard_error) + " %" : format_percent(fraction);
}

std::string format_count(double value) {
  if (std::isnan(value)) return std::string(kNotMeasured);
  constexpr std::array<std::string_view, 5> kUnits = {"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < kUnits.size()) value /= 1000.0, ++unit;
  if (unit == 0) return fmt::format("{:.0f}", value);
  const int digits = std::abs(value) < 9.995 ? 2 : std::abs(value) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, digits, kUnits[unit]);
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) value /= 1024.0, ++unit;
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 99.95 ? 0 : 1, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return std::string(kNotMeasured);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

int display_width(std::string_view utf8) {
  int width = 0;
  for (std::size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    const std::size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t k = 1; k < length && i + k < utf8.size(); ++k)
      c = (c << 6) | (static_cast<unsigned char>(utf8[i + k]) & 0x3fu);
    if (!within(kZeroWidth, c)) width += within(kWide, c) ? 2 : 1;
    i += length;
  }
  return width;
}

}  // namespace qad
