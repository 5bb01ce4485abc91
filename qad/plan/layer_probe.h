// A layer of each kind that a model has, small enough to be run for a moment on any machine, and what its time says of
// the whole model's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/base/clock.h"
#include "models/language_model.h"

namespace qad {

/// Of a probe, whose embedding does not matter.
inline constexpr std::int64_t kProbeVocabulary = 256;

/// The median of a few runs after one to warm up.
template <class Run>
double median_seconds(Run&& run) {
  run();
  std::vector<double> times;
  for (const double begun = steady_seconds();
       times.size() < 2 || (times.size() < 9 && steady_seconds() - begun < 0.15);) {
    const double start = steady_seconds();
    run();
    times.push_back(steady_seconds() - start);
  }
  std::ranges::sort(times);
  return times.size() % 2 == 1 ? times[times.size() / 2] : (times[times.size() / 2 - 1] + times[times.size() / 2]) / 2;
}

/// Normal numbers, a few of them over and over.
[[nodiscard]] Tensor random_tensor(const Shape& shape, double deviation);

/// Weights of a model's layers that a token meets, on average, and numbers of their states: what the time of a layer
/// goes with.
[[nodiscard]] double met_weights(const ModelConfig& config);

/// Layers that have the same parts. One of them is timed, the others take as much longer as they have more weights.
struct LayerKind {
  std::int64_t example;  ///< a layer of the model
  ModelConfig probe;     ///< a model of one layer like it, narrower where it would be large
  double times = 0;      ///< so many probes are all layers of the kind
};
[[nodiscard]] std::vector<LayerKind> layer_kinds(const ModelConfig& config);
/// A probe like layer 0 of a model, without its layer.
[[nodiscard]] ModelConfig empty_probe(const ModelConfig& config);
/// The same probe without its layer.
[[nodiscard]] ModelConfig emptied(ModelConfig probe);
/// With random values, in BF16 where it is not trained.
[[nodiscard]] std::unique_ptr<LanguageModel> probe_model(ModelConfig config, bool trained);

}  // namespace qad
