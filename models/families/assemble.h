// What all families build alike: an embedding, blocks, a norm and a head.
#pragma once

#include <functional>

#include "models/language_model.h"

namespace qad {

struct ModelNames {
  const char* root = "model";  ///< before all names but the head's
  const char* embedding = "embed_tokens";
  const char* norm = "norm";
  float norm_offset = 0.0f;  ///< of all norms of the residual stream
};

/// `parts` makes the layers of a block, whose name is given: model.layers.0.
[[nodiscard]] std::unique_ptr<LanguageModel> assemble_model(
    const ModelConfig& config, const ParameterMaker& make, const ModelNames& names,
    const std::function<std::vector<Residual>(std::int64_t index, const std::string& block)>& parts);

}  // namespace qad
