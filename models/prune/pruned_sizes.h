// The sizes of a pruned model: what a config and a `prune` section give, and why they don't.
#pragma once

#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "models/model_config.h"
#include "models/prune/prune_config.h"

namespace qad {

/// What of the section can't be had of a model: sizes above its own, widths that are no such multiple (with those that
/// are nearest), layers that nothing here can cut. `who` is the key, such as prune.hidden_size.
[[nodiscard]] std::vector<Problem> prune_refusals(const ModelConfig& config, const PruneConfig& prune);

/// head_dim is written out, since it follows from nothing else any more. Throws the first refusal (usage).
[[nodiscard]] ModelConfig pruned_config(const ModelConfig& config, const PruneConfig& prune);

/// Whether two models have the same sizes in all that can be pruned.
[[nodiscard]] bool same_sizes(const ModelConfig& a, const ModelConfig& b);

}  // namespace qad
