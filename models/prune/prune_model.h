// A smaller model from a larger one: what matters least is cut out of its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/language_model.h"
#include "models/prune/kept_units.h"
#include "models/prune/prune_config.h"

namespace qad {

/// A model to train (FP32 masters) of pruned_config's sizes; what of `model` stays is chosen by what it does on
/// `batches` (importance.h). Factors of norms grow by what the mean square over fewer channels changes, so that a norm
/// gives what it gave (with channels that are zero, exactly). Throws Error as pruned_config and choose_kept do.
[[nodiscard]] std::unique_ptr<LanguageModel> prune_model(LanguageModel& model, const PruneConfig& prune,
                                                         const std::vector<TokenBatch>& batches, std::uint64_t seed);

/// The cut itself.
[[nodiscard]] std::unique_ptr<LanguageModel> cut_model(LanguageModel& model, const ModelConfig& target,
                                                       const Kept& kept, const Importance& importance);

/// A model to train of these sizes, all zeros, whose values are still to come from a checkpoint.
[[nodiscard]] std::unique_ptr<LanguageModel> blank_model(const ModelConfig& config);

}  // namespace qad
