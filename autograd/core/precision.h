// In which numbers matrices are multiplied.
#pragma once

#include "autograd/base/fields.h"

namespace qad {

/// It decides the numbers; how fast they are multiplied is the CPU's: one without BF16 instructions multiplies the same
/// rounded numbers as floats. Sums are in FP32 in any case.
enum class Precision : std::uint8_t {
  fp32,  ///< operands as they are
  bf16,  ///< rounded to BF16, nearest, ties to even; codes of qad's formats mostly are such numbers already
};
inline constexpr auto enum_names(Precision) {
  return std::to_array<EnumName<Precision>>({{Precision::fp32, "fp32"}, {Precision::bf16, "bf16"}});
}

}  // namespace qad
