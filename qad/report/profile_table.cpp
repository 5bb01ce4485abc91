#include "qad/report/profile_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "qad/report/format.h"

namespace qad {
namespace {

// By phase as first met, then the longest first.
std::vector<ProfileRow> sorted_rows(const Profiler& profiler) {
  std::vector<ProfileRow> rows = profiler.rows();
  std::vector<std::string_view> phases;
  for (const ProfileRow& row : rows)
    if (std::ranges::find(phases, row.phase) == phases.end()) phases.push_back(row.phase);
  std::ranges::stable_sort(rows, [&](const ProfileRow& a, const ProfileRow& b) {
    const auto place_a = std::ranges::find(phases, a.phase), place_b = std::ranges::find(phases, b.phase);
    return place_a != place_b ? place_a < place_b : a.seconds > b.seconds;
  });
  return rows;
}

std::string rate(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? format_fixed(amount / seconds * 1e-9, 1) : "";
}

}  // namespace

Table profile_table(const Profiler& profiler) {
  Table table(
      {{"phase", Align::left}, {"operation", Align::left}, {"ms a step"}, {"share"}, {"calls"}, {"GFLOP/s"}, {"GB/s"}});
  const auto milliseconds = [&](double seconds) {
    return format_fixed(1e3 * seconds / static_cast<double>(profiler.rounds()), 3);
  };
  const double total = profiler.seconds();
  std::string_view phase;
  for (const ProfileRow& row : sorted_rows(profiler)) {
    table.add_row({row.phase == phase ? "" : std::string(row.phase), std::string(row.operation),
                   milliseconds(row.seconds), format_percent(row.seconds / total), std::to_string(row.calls),
                   rate(row.flops, row.seconds), rate(row.bytes, row.seconds)});
    phase = row.phase;
  }
  table.add_row({"all", "", milliseconds(total), format_percent(1), "", "", ""});
  return table;
}

std::string profile_text(const Profiler& profiler) {
  if (profiler.rounds() == 0) return "profile: there was no training step\n";
  const double total = profiler.seconds();
  double seconds = 0, flops = 0;
  for (const ProfileRow& row : profiler.rows()) {
    if (!row.operation.starts_with("gemm")) continue;
    seconds += row.seconds;
    flops += row.flops;
  }
  return fmt::format(
      "profile of {} steps, {}\n{}floor: the matrix products alone take {} of the steps, at {} GFLOP/s\n",
      profiler.rounds(), format_duration(total), profile_table(profiler).text(), format_percent(seconds / total),
      rate(flops, seconds));
}

}  // namespace qad
