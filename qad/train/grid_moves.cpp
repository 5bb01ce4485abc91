#include "qad/train/grid_moves.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "autograd/base/parallel.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

constexpr std::int64_t kChunk = 1 << 14;

Tensor rounded(const Parameter& parameter, WeightQuantizer& quantizer) {
  const QuantizedTensor& codes = quantizer.codes(parameter.value(), parameter.version());
  Tensor values(parameter.value().shape());
  dequantize_rows(codes, 0, codes.rows, values.data());
  return values;
}

void pull(const Tensor& weight, const Tensor& grid, float share) {
  parallel_for(weight.size(), kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) weight.data()[i] -= share * (weight.data()[i] - grid.data()[i]);
  });
}

// way += |after - before|.
void add_way(const Tensor& before, const Tensor& after, const Tensor& way) {
  parallel_for(way.size(), kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) way.data()[i] += std::abs(after.data()[i] - before.data()[i]);
  });
}

}  // namespace

GridMoves::GridMoves(const TrainConfig& config, const QuantizerSet& quantizers, const ParameterList& moved)
    : config_(config) {
  if (config.pull_to_grid.strength == 0 && config.oscillation_reset.window == 0) return;
  for (const LinearQuantizers& linear : quantizers.linears()) {
    if (linear.weights == nullptr || std::ranges::find(moved, linear.weight) == moved.end()) continue;
    places_[linear.weight.get()] = weights_.size();
    Weight& weight = weights_.emplace_back(Weight{linear.weight, linear.weights, {}, {}});
    if (config.oscillation_reset.window == 0) continue;
    weight.way = sums_["oscillation/way/" + linear.weight->name] = Tensor::zeros(linear.weight->shape());
    weight.rounded_way = sums_["oscillation/rounded_way/" + linear.weight->name] =
        Tensor::zeros(linear.weight->shape());
  }
}

std::int64_t GridMoves::first_of(double begins) const {
  return static_cast<std::int64_t>(begins * static_cast<double>(config_.steps));
}

double GridMoves::strength() const {
  const std::int64_t first = first_of(config_.pull_to_grid.begins);
  if (step_ <= first) return 0;
  return config_.pull_to_grid.strength * static_cast<double>(step_ - first) /
         static_cast<double>(config_.steps - first);
}

bool GridMoves::in_window() const {
  return config_.oscillation_reset.window > 0 && step_ > first_of(config_.oscillation_reset.begins);
}

void GridMoves::around(Parameter& parameter, double rate, const std::function<void()>& move) {
  const auto found = places_.find(&parameter);
  const auto share = static_cast<float>(rate * strength());
  if (found == places_.end() || (share == 0 && !in_window())) return move();
  const Weight& weight = weights_[found->second];
  const Tensor grid = rounded(parameter, *weight.quantizer);
  const Tensor before = in_window() ? parameter.value().clone() : Tensor();
  if (share != 0) pull(parameter.value(), grid, share);
  move();
  if (!in_window()) return;
  add_way(before, parameter.value(), weight.way);
  add_way(grid, rounded(parameter, *weight.quantizer), weight.rounded_way);
}

std::int64_t GridMoves::end_step() {
  const auto& [window, ratio, begins] = config_.oscillation_reset;
  if (!in_window() || (step_ - first_of(begins)) % window != 0) return 0;
  std::atomic<std::int64_t> reset = 0;
  for (const Weight& weight : weights_) {
    const Tensor grid = rounded(*weight.parameter, *weight.quantizer);
    float* const w = weight.parameter->value().data();
    parallel_for(grid.size(), kChunk, [&, factor = static_cast<float>(ratio)](std::int64_t begin, std::int64_t end) {
      std::int64_t count = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        float& way = weight.way.data()[i];
        float& rounded_way = weight.rounded_way.data()[i];
        if (way > 0 && rounded_way >= factor * way) w[i] = grid.data()[i], ++count;
        way = rounded_way = 0;
      }
      reset += count;
    });
    weight.parameter->changed();
  }
  return reset;
}

}  // namespace qad
