// Experts to which calibration sent no token. Their inputs have the scale of their layer's other experts and their
// weights their own, so that nothing of theirs is a guess; but nobody has looked at how well that range fits them.
#pragma once

#include <string>
#include <vector>

#include "models/language_model.h"

namespace qad {

struct UnseenExperts {
  std::vector<std::string> names;  ///< model.layers.3.mlp.experts.7
  std::int64_t of = 0;             ///< experts whose inputs are quantized
};
/// After calibration. Throws for a layer of which no expert saw any: a scale of its inputs would be made up.
[[nodiscard]] UnseenExperts unseen_experts(LanguageModel& model);

/// Warns of them, if there are any: their count, and the first by name.
void warn_of_unseen_experts(LanguageModel& model);

}  // namespace qad
