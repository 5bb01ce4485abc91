#include "qad/report/routing_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "qad/report/format.h"

namespace qad {

Table routing_table(const std::vector<ArmSummary>& arms) {
  Table table({{"", Align::left}, {"router agreement"}, {"worst layer"}, {"busiest expert"}, {"idlest expert"}});
  for (const ArmSummary& arm : arms) {
    const EvalFigures& eval = arm.eval;
    if (std::isnan(eval.busiest_expert)) continue;
    table.add_row({arm.name, format_percent_with_error(eval.router_agreement, eval.router_agreement_stderr),
                   format_percent_with_error(eval.router_agreement_worst, eval.router_agreement_worst_stderr),
                   format_percent(eval.busiest_expert), format_percent(eval.idlest_expert)});
  }
  return table;
}

Table routing_table(const std::vector<LayerRouting>& layers) {
  Table table({{"experts", Align::left}, {"router agreement"}, {"busiest expert"}, {"idlest expert"}});
  for (const LayerRouting& layer : layers) {
    const auto all = static_cast<double>(std::accumulate(layer.tokens.begin(), layer.tokens.end(), std::int64_t{0}));
    const auto cell = [&](std::vector<std::int64_t>::const_iterator expert) {
      return fmt::format("{} ({})", format_percent(static_cast<double>(*expert) / all), expert - layer.tokens.begin());
    };
    table.add_row({layer.layer, format_percent_with_error(layer.agreement, layer.agreement_stderr),
                   cell(std::ranges::max_element(layer.tokens)), cell(std::ranges::min_element(layer.tokens))});
  }
  return table;
}

}  // namespace qad
