// Pre-tokenized text: an HDF5 file with a 1-D integer dataset `ids` and, if it has documents, `offsets`.
#pragma once

#include <filesystem>

#include "data/documents.h"

namespace qad {

/// `offsets` holds the first token of each document and may end with the number of tokens; without it all ids are one
/// document. Throws Error for a missing dataset, other types or shapes, and offsets that are not in order.
[[nodiscard]] Documents read_token_file(const std::filesystem::path& file);

}  // namespace qad
