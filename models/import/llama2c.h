// Checkpoints of llama2.c (A. Karpathy), legacy layout: seven int32 and then FP32 weights, each kind for all layers.
// Its rotary embedding turns neighbouring pairs; ours turns halves, so the rows of q and k are put in our order.
#pragma once

#include <filesystem>
#include <memory>

#include "models/language_model.h"

namespace qad {

/// A frozen FP32 model. bos is 1, eos is 2, as in the tokenizers that belong to these files.
[[nodiscard]] std::unique_ptr<LanguageModel> load_llama2c(const std::filesystem::path& file);

}  // namespace qad
