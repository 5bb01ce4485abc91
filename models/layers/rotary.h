// Rotary frequencies of a model and the table of their cosines and sines, for every rule of RopeScaling that is here:
// linear (positions divided by a factor), dynamic (as without a rule within the context), yarn
// (https://arxiv.org/abs/2309.00071) and llama3 (Llama 3.1's). transformers' modeling_rope_utils.py has the same.
#pragma once

#include "autograd/ops/rope.h"
#include "models/model_config.h"

namespace qad {

/// Radians a position by which pair i of a head turns, 0 ≤ i < head_dim/2, after any stretch.
[[nodiscard]] double rotary_frequency(const ModelConfig& config, std::int64_t i);
/// What cosines and sines are multiplied by: 1 but for yarn.
[[nodiscard]] double rotary_magnitude(const RopeScaling& scaling);
/// Positions for which the frequencies are defined. Beyond the context those of the dynamic rule depend on the longest
/// sequence that was seen, cached keys keeping older ones: nothing that a batch of many sequences could agree on.
[[nodiscard]] std::int64_t rotary_positions(const ModelConfig& config);
/// Cosines and sines for positions 0 … positions-1, in double before rounding.
[[nodiscard]] RotaryTable rotary_table(const ModelConfig& config, std::int64_t positions);

/// The table of a model, shared by its layers. Grows by doubling, so that a model with a long context pays only for the
/// positions it has seen.
class Rotary {
 public:
  explicit Rotary(const ModelConfig& config) : config_(config) {}
  /// A table for positions below `positions` at least. Throws beyond rotary_positions.
  [[nodiscard]] const RotaryTable& up_to(std::int64_t positions);

 private:
  ModelConfig config_;
  RotaryTable table_;
};

}  // namespace qad
