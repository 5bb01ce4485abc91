// Root-mean-square normalisation with a gate, as it stands behind recurrences.
#pragma once

#include "autograd/ops/columns.h"
#include "autograd/tape/parameter_operand.h"

namespace qad {

enum class GateFunction : std::uint8_t { silu, sigmoid };
enum class GatePlace : std::uint8_t { before_norm, after_norm };

struct GatedNormRule {
  std::int64_t group = 0;  ///< numbers side by side that are normed together
  float epsilon = 1e-5f;
  GateFunction function = GateFunction::silu;
  GatePlace place = GatePlace::before_norm;
};

/// x, gate [T, C], weight [W] with W a divisor of C (column c has weight c mod W), r = 1/sqrt(mean(v²) + epsilon) over
/// a group:
///   before_norm (Mamba-2): v = x·f(gate), y = v·r·weight;  after_norm (KDA, gated DeltaNet): v = x, y =
///   v·r·weight·f(gate)
[[nodiscard]] Variable gated_rms_norm(const Variable& x, const Columns& gate, const ParameterOperand& weight,
                                      const GatedNormRule& rule);

}  // namespace qad
