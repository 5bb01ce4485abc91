// Names and shapes of a model's linear layers: of one in memory, or of one of which there is only a config. What can be
// said of a model before a weight is read is said from these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/language_model.h"

namespace qad {

struct LinearShape {
  std::string name{};   ///< module: model.layers.0.self_attn.q_proj
  std::string group{};  ///< layers that read the same input share it
  std::int64_t out_features = 0, in_features = 0;
  double token_share = 1;  ///< of a batch's tokens, how many go through it
  bool tied = false;       ///< the head, where it is the embedding
  ModuleKind kind = ModuleKind::feed_forward;
  std::vector<ModuleKind> next{};  ///< what the model's next block has; of the last one that is the head
};

/// In the order of LanguageModel::linear_groups, the head last.
[[nodiscard]] std::vector<LinearShape> linear_shapes(LanguageModel& model);
/// The same without memory for a weight. Throws for a family that no code here stands for.
[[nodiscard]] std::vector<LinearShape> linear_shapes(const ModelConfig& config);

}  // namespace qad
