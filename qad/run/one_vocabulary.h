// Models that learn from each other, are compared or merged must mean the same by an id: their folders' tokenizers are
// compared token by token (check_same_tokens) before anything is computed with two of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "qad/recipe/recipe.h"

namespace qad {

/// Throws Error unless the folders that have a tokenizer share its tokens, with each other and with `tokenizer`, which
/// reads the text (null: none). A folder without one can't be compared with those that have: a warning says so.
void check_one_vocabulary(const std::vector<std::filesystem::path>& models, const Tokenizer* tokenizer,
                          std::int64_t vocabulary);

/// The folders of all models that a recipe names, of its arms too, each once.
[[nodiscard]] std::vector<std::filesystem::path> models_of(const Recipe& recipe);

}  // namespace qad
