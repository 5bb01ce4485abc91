// The curves of a report: what metrics.jsonl holds, as chart series over tokens.
#pragma once

#include <string>
#include <vector>

#include "qad/report/metrics_log.h"
#include "qad/report/svg_chart.h"

namespace qad {

/// One arm's curves and how to draw them.
struct CurveSource {
  std::string name;
  int colour = 1;
  const std::vector<MetricsRecord>* metrics = nullptr;
};

/// Training loss: pale raw values behind a moving average.
[[nodiscard]] Chart loss_chart(const std::vector<CurveSource>& sources);
/// Held-out KL to the teacher with standard errors; held-out cross-entropy when there is no teacher. An arm that was
/// evaluated once (PTQ) is a level.
[[nodiscard]] Chart eval_chart(const std::vector<CurveSource>& sources);
/// Mean reward of a step's answers; without series where nothing was rewarded.
[[nodiscard]] Chart reward_chart(const std::vector<CurveSource>& sources);
[[nodiscard]] Chart learning_rate_chart(const std::vector<CurveSource>& sources);

/// At most `count` points: the means of runs of neighbours of equal length.
[[nodiscard]] std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points, std::size_t count);
/// Each y replaced by the mean over `radius` neighbours on both sides (fewer at the ends).
[[nodiscard]] std::vector<ChartPoint> smoothed(const std::vector<ChartPoint>& points, std::size_t radius);

}  // namespace qad
