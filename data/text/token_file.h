// Pre-tokenized text: an HDF5 file of 1-D integer datasets, of any width.
//
//   ids      the tokens of all documents, end to end
//   offsets  the first token of each document, and perhaps the number of tokens at the end; without it all ids are one
//            document
//   mask     1 where a token is a label, 0 where not (a prompt, say), one number for each of ids; without it all are.
//            As elsewhere it says what next-token prediction learns and measures; distillation counts every position.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>

#include "data/text/documents.h"

namespace qad {

/// At most the first `most_tokens`, the last document of which may be a beginning (Documents::is_beginning). Throws
/// Error for missing ids, other types or shapes, offsets that are not in order, and a mask of another length or with
/// other numbers.
[[nodiscard]] Documents read_token_file(const std::filesystem::path& file,
                                        std::int64_t most_tokens = std::numeric_limits<std::int64_t>::max());

/// What read_token_file reads back; `mask` is left out where all tokens are labels. The file appears whole or not at
/// all.
void write_token_file(const Documents& documents, const std::filesystem::path& file);

}  // namespace qad
