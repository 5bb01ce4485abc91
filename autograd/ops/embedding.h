// Rows of a table by id.
#pragma once

#include <memory>
#include <vector>

#include "autograd/tape/variable.h"

namespace qad {

/// out[t] = table[ids[t]]; table [vocabulary, cols] in FP32 or BF16.   dtable[ids[t]] += d[t]
[[nodiscard]] Variable embedding(const std::shared_ptr<const std::vector<std::int32_t>>& ids, const Variable& table);

}  // namespace qad
