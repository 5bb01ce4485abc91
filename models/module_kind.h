// What a linear layer is part of. Rules choose by it (qad/quant/policy.h), so that they need not know how a family
// spells its modules.
#pragma once

#include <array>
#include <cstdint>

#include "autograd/base/fields.h"

namespace qad {

enum class ModuleKind : std::uint8_t {
  attention,
  mamba,
  linear_attention,
  experts,         ///< those that a router chooses
  shared_experts,  ///< those beside them that every token goes to
  feed_forward,
  head,
};
inline constexpr auto enum_names(ModuleKind) {
  return std::to_array<EnumName<ModuleKind>>({{ModuleKind::attention, "attention"},
                                              {ModuleKind::mamba, "mamba"},
                                              {ModuleKind::linear_attention, "linear_attention"},
                                              {ModuleKind::experts, "experts"},
                                              {ModuleKind::shared_experts, "shared_experts"},
                                              {ModuleKind::feed_forward, "feed_forward"},
                                              {ModuleKind::head, "head"}});
}

}  // namespace qad
