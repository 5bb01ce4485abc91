// How much each part of a model matters, from its activations on some text (Muralidharan et al., "Compact Language
// Models via Pruning and Knowledge Distillation", 2024, https://arxiv.org/abs/2407.14679; NVIDIA Minitron).
//
// Of a channel: m = mean of |x| over the tokens of a sample (a segment of a batch), score = √Σ m² over samples.
//   unit of a feed-forward layer: x is what the down projection reads;
//   head: x is what the output projection reads, √Σ score² over the head's channels; of Mamba-2 likewise;
//   hidden channel: x is what a norm of the residual stream gives; scores are summed over all norms;
//   expert: Σ over tokens sent to it of weight·‖what it gives‖₂ (Lasby et al., REAP, 2025);
//   layer: Σ over tokens of 1 - cos(what it reads, what it gives).
#pragma once

#include <cstdint>
#include <vector>

#include "models/language_model.h"

namespace qad {

using Scores = std::vector<double>;

struct BlockImportance {
  double block = 0;
  Scores units;  ///< of the feed-forward layer
  Scores heads;  ///< query heads
  Scores experts;
  std::vector<Scores> expert_units;
  Scores shared_units;
  Scores mamba_heads;
  std::vector<Scores> norm_squares;  ///< of each norm: Σ over tokens of (x/rms)² of each channel
  Scores mamba_norm_squares;
};

struct Importance {
  Scores hidden;
  std::vector<BlockImportance> blocks;
  Scores norm_squares;  ///< of the final norm
};

/// Reads the batches once. The same bits at any number of threads. Throws NotFinite as a forward does.
[[nodiscard]] Importance importance_of(LanguageModel& model, const std::vector<TokenBatch>& batches);

/// The same with scores that are drawn instead; what norms saw stays.
[[nodiscard]] Importance with_random_scores(Importance importance, std::uint64_t seed);

}  // namespace qad
