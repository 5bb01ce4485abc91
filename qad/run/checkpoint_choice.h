// Which checkpoint of a run's folder a verb takes.
#pragma once

#include <array>

#include "autograd/base/fields.h"

namespace qad {

enum class CheckpointChoice { best, last };
inline constexpr auto enum_names(CheckpointChoice) {
  return std::to_array<EnumName<CheckpointChoice>>(
      {{CheckpointChoice::best, "best"}, {CheckpointChoice::last, "last"}});
}

}  // namespace qad
