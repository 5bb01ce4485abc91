// Where tokens went in layers of experts, for terminal and report.
#pragma once

#include <vector>

#include "qad/report/summary.h"
#include "qad/report/table.h"

namespace qad {

/// A row for each arm with experts: how often its routers choose as the teacher's do, on average and in the worst
/// layer, and the shares of the busiest and the idlest expert. Without rows where no arm has any.
[[nodiscard]] Table routing_table(const std::vector<ArmSummary>& arms);
/// The same with a row for each layer.
[[nodiscard]] Table routing_table(const std::vector<LayerRouting>& layers);

}  // namespace qad
