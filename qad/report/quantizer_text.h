// The quantizers of a model as a table for people.
#pragma once

#include <string>
#include <vector>

#include "qad/quant/attach.h"

namespace qad {

[[nodiscard]] std::string text_of(const std::vector<QuantizerTableRow>& rows);

}  // namespace qad
