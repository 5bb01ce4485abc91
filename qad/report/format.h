// Numbers as people read them, the same in terminal, table and report. A number that was not measured (NaN) is "–".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qad {

/// `digits` digits after the point: 0.130.
[[nodiscard]] std::string format_fixed(double value, int digits);
/// `digits` significant digits, scientific only where a plain number would be long: 0.1302, 12.3, 1e-05.
[[nodiscard]] std::string format_significant(double value, int digits = 4);
/// A value and its standard error, cut where the error's second digit stands: 0.0803 ± 0.0012.
[[nodiscard]] std::string format_with_error(double value, double standard_error);
/// A fraction as a percentage: 0.763 -> "76.3 %".
[[nodiscard]] std::string format_percent(double fraction, int digits = 1);
/// 0.763, 0.0012 -> "76.30 ± 0.12 %".
[[nodiscard]] std::string format_percent_with_error(double fraction, double standard_error);
/// 950, 12.3k, 1.20M, 4.56G.
[[nodiscard]] std::string format_count(double value);
/// 512 B, 4.0 KiB, 1.2 GiB.
[[nodiscard]] std::string format_bytes(std::int64_t bytes);
/// 0.8 s, 42 s, 1:23, 2:03:04.
[[nodiscard]] std::string format_duration(double seconds);

/// Columns that UTF-8 text takes in a terminal: combining marks none, East Asian wide characters and emoji two.
[[nodiscard]] int display_width(std::string_view utf8);

}  // namespace qad
