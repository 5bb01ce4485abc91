#include "qad/report/search_table.h"

#include <algorithm>
#include <cmath>

#include "qad/report/format.h"

namespace qad {
namespace {

std::vector<SearchPointSummary> by_bits(std::vector<SearchPointSummary> points) {
  std::ranges::stable_sort(points, {}, &SearchPointSummary::bits);
  return points;
}

// Of all groups, as they first come.
std::vector<std::string> all_formats(const RunSummary& summary) {
  std::vector<std::string> formats;
  for (const SearchGroupSummary& group : summary.searched)
    for (const SearchOptionSummary& option : group.options)
      if (std::ranges::find(formats, option.formats) == formats.end()) formats.push_back(option.formats);
  return formats;
}

}  // namespace

Table search_table(const RunSummary& summary) {
  const std::vector<std::string> formats = all_formats(summary);
  std::vector<Column> columns = {{"layers", Align::left}, {"weights"}, {"chosen", Align::left}, {"bits"}};
  for (const std::string& format : formats) columns.push_back({"KL in " + format});
  Table table(std::move(columns));
  for (const SearchGroupSummary& group : summary.searched) {
    const auto find = [&](const std::string& format) {
      return std::ranges::find(group.options, format, &SearchOptionSummary::formats);
    };
    const auto chosen = find(group.chosen);
    std::vector<std::string> row = {group.group, std::to_string(group.weights), group.chosen,
                                    chosen != group.options.end() ? format_significant(chosen->bits) : ""};
    for (const std::string& format : formats) {
      const auto option = find(format);
      row.push_back(option != group.options.end() ? format_significant(option->score, 3) : "");
    }
    table.add_row(std::move(row));
  }
  return table;
}

Table search_curve_table(const RunSummary& summary) {
  Table table({{"budget"}, {"bits a weight"}, {"KL of single groups, summed"}, {"held-out KL"}});
  for (const SearchPointSummary& point : by_bits(summary.search_curve))
    table.add_row({format_significant(point.budget), format_significant(point.bits, 5), format_significant(point.score),
                   format_with_error(point.kl, point.kl_stderr)});
  return table;
}

Chart search_chart(const RunSummary& summary) {
  Chart chart{.title = "Held-out KL to the teacher, nats a token",
              .x_title = "bits a weight of the blocks' linear layers",
              .log_y = true,
              .series = {}};
  ChartSeries measured{"measured", 1, SeriesStyle::line_with_marks, {}};
  ChartSeries summed{"sum of single groups", 2, SeriesStyle::line, {}};
  for (const SearchPointSummary& point : by_bits(summary.search_curve)) {
    if (std::isfinite(point.kl))
      measured.points.push_back({point.bits, point.kl, std::isfinite(point.kl_stderr) ? point.kl_stderr : 0.0});
    summed.points.push_back({point.bits, point.score});
  }
  if (measured.points.empty()) return chart;
  chart.series.push_back(std::move(measured));
  chart.series.push_back(std::move(summed));
  return chart;
}

}  // namespace qad
