// What other trainers call the keys of a recipe, for hints: people come with the words that they know.
#pragma once

#include <string_view>

namespace qad {

/// What to write here for a key of transformers' TrainingArguments, TRL, torchtune, Axolotl or ModelOpt, such as
/// `train.lr` for `learning_rate`; empty for a word that none of them has. Case and `-` for `_` don't matter.
[[nodiscard]] std::string_view our_word_for(std::string_view peer_word);

}  // namespace qad
