#include "qad/report/curves.h"

#include <algorithm>
#include <cmath>

namespace qad {
namespace {

constexpr std::size_t kMostPoints = 600;  // about one for each unit of the chart's width
constexpr const char* kTokens = "tokens trained on";

template <class Value>
std::vector<ChartPoint> training_points(const CurveSource& source, Value value) {
  std::vector<ChartPoint> points;
  for (const MetricsRecord& record : *source.metrics)
    if (record.training.step > 0 && std::isfinite(value(record.training)))
      points.push_back({static_cast<double>(record.training.tokens), value(record.training)});
  return points;
}

std::vector<ChartPoint> eval_points(const CurveSource& source, double EvalFigures::*value, double EvalFigures::*error) {
  std::vector<ChartPoint> points;
  for (const MetricsRecord& record : *source.metrics)
    if (record.eval && std::isfinite(*record.eval.*value))
      points.push_back({static_cast<double>(record.training.tokens), *record.eval.*value,
                        std::isfinite(*record.eval.*error) ? *record.eval.*error : 0.0});
  return points;
}

template <class Value>
void add_smoothed(Chart& chart, const std::vector<CurveSource>& sources, Value value) {
  for (const CurveSource& source : sources) {
    const auto raw = training_points(source, value);
    if (raw.empty()) continue;
    chart.series.push_back({source.name, source.colour, SeriesStyle::faint, thinned(raw, kMostPoints)});
    chart.series.push_back(
        {source.name, source.colour, SeriesStyle::line, thinned(smoothed(raw, raw.size() / 60), kMostPoints)});
  }
}

// Falling by a factor that a linear axis would flatten.
bool wants_log_axis(const Chart& chart) {
  double low = INFINITY, high = 0.0;
  for (const ChartSeries& series : chart.series)
    for (const ChartPoint& point : series.points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
  return low > 0.0 && high > 3.0 * low;
}

}  // namespace

Chart loss_chart(const std::vector<CurveSource>& sources) {
  Chart chart{.title = "Training loss", .x_title = kTokens, .log_y = false, .series = {}};
  add_smoothed(chart, sources, [](const StepDone& step) { return step.loss; });
  chart.log_y = wants_log_axis(chart);
  return chart;
}

Chart eval_chart(const std::vector<CurveSource>& sources) {
  const bool has_kl = std::any_of(sources.begin(), sources.end(), [](const CurveSource& source) {
    return !eval_points(source, &EvalFigures::kl_mean, &EvalFigures::kl_mean_stderr).empty();
  });
  Chart chart{.title = has_kl ? "Held-out KL to the teacher, nats a token" : "Held-out cross-entropy, nats a token",
              .x_title = kTokens,
              .log_y = false,
              .series = {}};
  for (const CurveSource& source : sources) {
    auto points = has_kl ? eval_points(source, &EvalFigures::kl_mean, &EvalFigures::kl_mean_stderr)
                         : eval_points(source, &EvalFigures::cross_entropy, &EvalFigures::cross_entropy_stderr);
    if (points.empty()) continue;
    const auto style = points.size() == 1 ? SeriesStyle::level : SeriesStyle::line_with_marks;
    chart.series.push_back({source.name, source.colour, style, std::move(points)});
  }
  chart.log_y = wants_log_axis(chart);
  return chart;
}

Chart reward_chart(const std::vector<CurveSource>& sources) {
  Chart chart{
      .title = "Mean reward of the answers written in training", .x_title = kTokens, .log_y = false, .series = {}};
  add_smoothed(chart, sources,
               [](const StepDone& step) { return step.rollout ? step.rollout->reward : EvalFigures::kNone; });
  return chart;
}

Chart learning_rate_chart(const std::vector<CurveSource>& sources) {
  Chart chart{.title = "Learning rate", .x_title = kTokens, .log_y = false, .series = {}};
  for (const CurveSource& source : sources)
    if (auto points = training_points(source, [](const StepDone& step) { return step.lr; }); !points.empty())
      chart.series.push_back({source.name, source.colour, SeriesStyle::line, thinned(points, kMostPoints)});
  return chart;
}

std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points, std::size_t count) {
  if (points.size() <= count) return points;
  std::vector<ChartPoint> out;
  for (std::size_t bucket = 0; bucket < count; ++bucket) {
    const std::size_t begin = bucket * points.size() / count, end = (bucket + 1) * points.size() / count;
    ChartPoint mean;
    for (std::size_t i = begin; i < end; ++i) mean.x += points[i].x, mean.y += points[i].y;
    mean.x /= static_cast<double>(end - begin);
    mean.y /= static_cast<double>(end - begin);
    out.push_back(mean);
  }
  return out;
}

std::vector<ChartPoint> smoothed(const std::vector<ChartPoint>& points, std::size_t radius) {
  std::vector<double> sums = {0.0};  // sums[i]: of the first i values
  for (const ChartPoint& point : points) sums.push_back(sums.back() + point.y);
  std::vector<ChartPoint> out = points;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t reach =
        std::min({radius, i, points.size() - 1 - i});  // symmetric, so that a slope keeps its ends
    out[i].y = (sums[i + reach + 1] - sums[i - reach]) / static_cast<double>(2 * reach + 1);
  }
  return out;
}

}  // namespace qad
