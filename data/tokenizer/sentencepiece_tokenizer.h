// SentencePiece's tokenizer.model, through its own library: ids are the library's, whatever kind of model it is.
#pragma once

#include <filesystem>
#include <memory>

#include "data/tokenizer/tokenizer.h"

namespace qad {

/// Start and end token are those that the files beside it name, else the model's own. What goes around a text is what
/// tokenizer_config.json says (add_bos_token, add_eos_token), else a start token, as Llama has it. Control pieces such
/// as <s>, <unk>, which the library never finds in a text, and the tokens that the files beside it name are found; the
/// library encodes what is between. Throws Error for a file that the library can't read.
[[nodiscard]] std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file);

}  // namespace qad
