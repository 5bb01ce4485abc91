// Intervals of figures over problems by the bootstrap (Efron, 1979): what the figure would be had other problems been
// drawn. Problems come in families of fixed sizes, so each resample draws within each family.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace qad {

struct Interval {
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
};

/// For each stratum which of its members were drawn, as many as it has, one perhaps several times.
using Resample = std::vector<std::vector<std::size_t>>;

/// The 2.5th and 97.5th percentile of `statistic` over 2000 resamples of strata of these sizes. The same numbers every
/// time; two calls with the same sizes see the same resamples. Not a number where a stratum is empty, or where the
/// statistic of a resample is not one.
[[nodiscard]] Interval bootstrap_interval(const std::vector<std::size_t>& sizes,
                                          const std::function<double(const Resample&)>& statistic);

}  // namespace qad
