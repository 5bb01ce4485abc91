#include "qad/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "qad/report/format.h"

namespace qad {
namespace {

constexpr double kWidth = 720, kHeight = 280;
constexpr double kLeft = 58, kRight = 708, kTop = 14, kBottom = 238;  // the frame of the data

// Maps data to the frame. Y runs upwards in data and downwards on the page.
struct Axes {
  double x_low, x_high, y_low, y_high;  // y in log10 when log_y
  bool log_y;

  [[nodiscard]] double x(double value) const { return kLeft + (value - x_low) / (x_high - x_low) * (kRight - kLeft); }
  [[nodiscard]] double y(double value) const {
    const double position = log_y ? std::log10(std::max(value, 1e-300)) : value;
    return kBottom - (position - y_low) / (y_high - y_low) * (kBottom - kTop);
  }
};

bool is_drawable(const ChartPoint& point, bool log_y) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!log_y || point.y > 0.0);
}

Chart only_drawable(Chart chart) {
  for (ChartSeries& series : chart.series)
    std::erase_if(series.points, [&](const ChartPoint& point) { return !is_drawable(point, chart.log_y); });
  std::erase_if(chart.series, [](const ChartSeries& series) { return series.points.empty(); });
  return chart;
}

Axes axes_of(const Chart& chart) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Axes axes{0.0, -kInfinity, kInfinity, -kInfinity, chart.log_y};
  for (const ChartSeries& series : chart.series)
    for (const ChartPoint& point : series.points) {
      axes.x_high = std::max(axes.x_high, point.x);
      if (series.style == SeriesStyle::faint) continue;
      const double y = chart.log_y ? std::log10(point.y) : point.y;
      axes.y_low = std::min(axes.y_low, y);
      axes.y_high = std::max(axes.y_high, y);
    }
  if (!(axes.x_high > 0.0)) axes.x_high = 1.0;
  if (axes.y_low > axes.y_high) axes.y_low = 0.0, axes.y_high = 1.0;
  // Headroom; a flat curve lies in the middle, and a linear axis that comes near zero starts there.
  const double smallest = chart.log_y ? 0.05 : std::max(0.05 * std::abs(axes.y_high), 1e-12);
  const double margin = std::max(0.06 * (axes.y_high - axes.y_low), smallest);
  const bool from_zero = !chart.log_y && axes.y_low >= 0.0 && axes.y_low < 0.5 * axes.y_high;
  axes.y_low = from_zero ? 0.0 : axes.y_low - margin;
  axes.y_high += margin;
  return axes;
}

std::string tick_text(double value) {
  constexpr std::array<std::pair<double, std::string_view>, 4> kUnits = {
      {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  for (const auto& [size, unit] : kUnits)
    if (std::abs(value) >= size) return fmt::format("{:.4g}{}", value / size, unit);
  return fmt::format("{:.4g}", value);
}

std::string grid(const Chart& chart, const Axes& axes) {
  std::string out;
  const std::vector<double> y_ticks = chart.log_y ? log_ticks(std::pow(10.0, axes.y_low), std::pow(10.0, axes.y_high))
                                                  : linear_ticks(axes.y_low, axes.y_high, 5);
  for (const double tick : y_ticks) {
    const double y = axes.y(tick);
    out += fmt::format(R"(<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>)", kLeft, kRight, y, y);
    out += fmt::format(R"(<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>)", kLeft - 8, y + 4,
                       tick_text(tick));
  }
  out += fmt::format(R"(<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>)", kLeft, kRight, kBottom, kBottom);
  for (const double tick : linear_ticks(axes.x_low, axes.x_high, 7)) {
    const double x = axes.x(tick);
    out += fmt::format(R"(<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>)", x, x, kBottom, kBottom + 4);
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", x, kBottom + 18,
                       tick_text(tick));
  }
  out += fmt::format(R"(<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>)", kRight, kBottom + 36,
                     escape_html(chart.x_title));
  return out + "\n";
}

// Title and keys: HTML, which knows how wide names are and wraps them.
std::string caption(const Chart& chart) {
  std::string out = fmt::format("<figcaption><b>{}</b>", escape_html(chart.title));
  for (const ChartSeries& series : chart.series) {
    if (series.style == SeriesStyle::faint || series.name.empty()) continue;
    out += fmt::format("<span class=\"key c{}{}\"><span>{}</span></span>", series.colour,
                       series.style == SeriesStyle::level ? " dashed" : "", escape_html(series.name));
  }
  return out + "</figcaption>\n";
}

std::string drawn(const ChartSeries& series, const Axes& axes) {
  if (series.style == SeriesStyle::level) {
    const double y = axes.y(series.points.front().y);
    return fmt::format(
               R"(<line class="c{} level" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"><title>{}: {}</title></line>)",
               series.colour, kLeft, kRight, y, y, escape_html(series.name),
               format_significant(series.points.front().y)) +
           "\n";
  }
  std::string out = fmt::format(R"(<polyline class="c{} {}" points=")", series.colour,
                                series.style == SeriesStyle::faint ? "faint" : "line");
  for (const ChartPoint& point : series.points) out += fmt::format("{:.1f},{:.1f} ", axes.x(point.x), axes.y(point.y));
  if (out.back() == ' ') out.pop_back();
  out += "\"/>\n";
  if (series.style != SeriesStyle::line_with_marks) return out;
  for (const ChartPoint& point : series.points) {
    const double x = axes.x(point.x);
    if (point.error > 0.0)
      out += fmt::format(R"(<line class="c{} error" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>)", series.colour,
                         x, x, axes.y(point.y - point.error), axes.y(point.y + point.error));
    out += fmt::format(R"(<circle class="c{} mark" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}: {} at {}</title></circle>)",
                       series.colour, x, axes.y(point.y), escape_html(series.name),
                       format_with_error(point.y, point.error), tick_text(point.x));
  }
  return out + "\n";
}

}  // namespace

std::string chart_figure(const Chart& given) {
  const Chart chart = only_drawable(given);
  return chart.series.empty() ? "" : "<figure>\n" + caption(chart) + svg_chart(chart) + "</figure>\n";
}

std::string svg_chart(const Chart& given) {
  const Chart chart = only_drawable(given);
  const Axes axes = axes_of(chart);
  std::string out = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", kWidth, kHeight,
                                escape_html(chart.title)) +
                    "\n" + grid(chart, axes);
  // A nested <svg> clips what leaves the frame, without the page-wide id that a clipPath needs.
  out += fmt::format(R"(<svg x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">)", kLeft - 4, kTop - 8,
                     kRight - kLeft + 8, kBottom - kTop + 12) +
         "\n";
  for (const ChartSeries& series : chart.series)
    if (series.style == SeriesStyle::faint) out += drawn(series, axes);
  for (const ChartSeries& series : chart.series)
    if (series.style != SeriesStyle::faint) out += drawn(series, axes);
  return out + "</svg>\n</svg>\n";
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::vector<double> linear_ticks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {};
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough * 0.999) step = factor * power;
  const double slack = 1e-9 * (high - low), first = std::ceil((low - slack) / step);
  std::vector<double> ticks;
  for (int k = 0; k <= 2 * count && (first + k) * step <= high + slack; ++k) ticks.push_back((first + k) * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  low = std::max(low, 1e-300), high = std::min(high, 1e300);  // where powers of ten are numbers
  const double decades = std::log10(high) - std::log10(low);
  if (!(decades >= 1.0)) return linear_ticks(low, high, 7);
  const int every = std::max(1, static_cast<int>(decades / 5.0));  // decades from one label to the next
  std::vector<double> ticks;
  for (int power = static_cast<int>(std::floor(std::log10(low))); power <= std::log10(high) + 1e-9; ++power)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      const bool has_room = factor == 1.0 ? power % every == 0 : decades <= 2.5;
      if (has_room && tick >= low * (1.0 - 1e-9) && tick <= high * (1.0 + 1e-9)) ticks.push_back(tick);
    }
  return ticks;
}

}  // namespace qad
