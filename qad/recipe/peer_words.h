// What other trainers call the keys of a recipe, for hints: people come with the words that they know.
#pragma once

#include <string>
#include <string_view>

namespace qad {

/// What to write here for a key of transformers' TrainingArguments, TRL, torchtune, Axolotl or ModelOpt, such as
/// `train.lr` for `learning_rate`; empty for a word that none of them has. Case and `-` for `_` don't matter.
[[nodiscard]] std::string_view our_word_for(std::string_view peer_word);

/// What is meant by a key that `section` (empty: the top level) doesn't have: the same of it or of the word alone, or
/// the one key of ours by that name that stands elsewhere. Empty if nobody knows.
[[nodiscard]] std::string place_of_key(std::string_view word, std::string_view section);
/// The same for `section.word`.
[[nodiscard]] std::string place_of_key(std::string_view dotted);

}  // namespace qad
