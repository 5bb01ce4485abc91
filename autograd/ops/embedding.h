// Rows of a table by id.
#pragma once

#include <memory>
#include <vector>

#include "autograd/tape/parameter_operand.h"

namespace qad {

/// out[t] = table[ids[t]]; table [vocabulary, cols].   dtable[ids[t]] += d[t]
[[nodiscard]] Variable embedding(const std::shared_ptr<const std::vector<std::int32_t>>& ids,
                                 const ParameterOperand& table);

}  // namespace qad
