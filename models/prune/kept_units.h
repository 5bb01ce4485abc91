// What stays of a model: the parts of the largest scores, each in its old order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/model_config.h"
#include "models/prune/importance.h"

namespace qad {

using Indices = std::vector<std::int64_t>;  ///< rising

struct KeptInBlock {
  Indices units, heads, key_value_heads, experts, shared_units, mamba_heads;
  std::vector<Indices> expert_units;  ///< of all experts
};

struct Kept {
  Indices layers, hidden;
  std::vector<KeptInBlock> blocks;  ///< of all layers; of those that go nothing
};

/// Of every layer, its block's.
[[nodiscard]] Scores layer_scores(const Importance& importance);

/// As many as `target` has (of layers, those in `layers` if there are any); of equal scores the first stay. Query heads
/// are chosen inside the group of their key/value head, Mamba heads and experts inside theirs. Key/value heads by √Σ
/// score² of their query heads. Throws Error (who: `model`) where scores of what is cut are not finite, or the same for
/// all of a kind in the whole model.
[[nodiscard]] Kept choose_kept(const ModelConfig& config, const ModelConfig& target, const Importance& importance,
                               const std::string& model, const Indices& layers = {});

}  // namespace qad
