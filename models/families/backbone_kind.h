// Families whose blocks are one layer each behind one norm, below the name "backbone": Mamba-2 and Nemotron-H.
#pragma once

#include <array>

#include "models/families/family.h"

namespace qad {

/// Layers by the letters of the config's pattern; without one all are Mamba-2.
[[nodiscard]] std::unique_ptr<LanguageModel> make_backbone_kind(const ModelConfig& config, const ParameterMaker& make);

/// Names that others give to the same tensors: transformers 5 in memory, the authors of Mamba.
inline constexpr auto kBackboneOtherNames =
    std::to_array<OtherName>({{"backbone.", "model."}, {"backbone.embeddings.", "backbone.embedding."}});

}  // namespace qad
