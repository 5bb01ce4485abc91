// A line chart as SVG text to be set into a page: no script, no fonts, no file beside it. Colours are CSS classes
// c0 … c5 (stroke and fill follow `color`), so that the page decides them for light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qad {

constexpr int kChartColours = 11;

struct ChartPoint {
  double x = 0.0;
  double y = 0.0;
  double error = 0.0;  ///< half the height of an error bar; 0 draws none
};

enum class SeriesStyle {
  line,
  line_with_marks,  ///< and a dot with error bar at each point
  faint,            ///< the raw data behind a smoothed line: thin and pale, not in the legend, does not set the axes
  level,            ///< a dashed horizontal line at the first point's y
};

struct ChartSeries {
  std::string name;
  int colour = 1;
  SeriesStyle style = SeriesStyle::line;
  std::vector<ChartPoint> points;
};

struct Chart {
  std::string title;
  std::string x_title;
  bool log_y = false;  ///< points that are not above zero are left out
  std::vector<ChartSeries> series;
};

/// A <figure> with title, a key for each series and the <svg>; empty where there is nothing to draw.
[[nodiscard]] std::string chart_figure(const Chart& chart);
/// The <svg> element alone, of 720 by 280 units; points that are not finite are left out.
[[nodiscard]] std::string svg_chart(const Chart& chart);

/// Text for an HTML or SVG element or a quoted attribute.
[[nodiscard]] std::string escape_html(std::string_view text);

/// Round positions (1, 2 or 5 times a power of ten), about `count` of them, within [low, high].
[[nodiscard]] std::vector<double> linear_ticks(double low, double high, int count);
/// Powers of ten, and 2 and 5 times these where there is room; linear ones when the range spans less than a decade.
[[nodiscard]] std::vector<double> log_ticks(double low, double high);

}  // namespace qad
