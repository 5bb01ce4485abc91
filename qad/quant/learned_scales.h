// Block scales of a weight that are trained (LSQ, Esser et al., 2020, https://arxiv.org/abs/1902.08153, with a scale
// for each block). A master is log2 of a scale over the one that calibration found, in FP32: it begins at 0, the scale
// stays positive, and a step is a part of it. Tied: y = F·q(w/F), F = scale·tensor scale. Dual: y = F·q(w/f), where f,
// that only chooses codes, is a float of its own and in no export: codes of such a weight can't be told from its
// values.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/nn/parameter.h"
#include "qad/formats/quantize.h"

namespace qad {

class LearnedScales {
 public:
  /// `weight` names it; `shape`: [out, in]. The format must have block scales.
  LearnedScales(const std::string& weight, const BlockFormat& format, const Shape& shape, bool dual);

  /// Of its parameters.
  [[nodiscard]] static std::vector<std::string> names(const std::string& weight, bool dual);
  /// With Role::scale: [out, blocks a row]; of dual ones those of the codes, then those of the values.
  [[nodiscard]] ParameterList parameters() const;
  /// From the scales that were found.
  void start();
  /// Goes up with every change of a master.
  [[nodiscard]] std::uint64_t version() const;

  struct Result {
    QuantizedTensor codes;
    QuantizeStatistics statistics;
    /// Turns dy into dw in place, as it is or, with `clip`, 0 beyond the range of a block; and gives the masters their
    /// gradients, rounding passed straight through: dy/dF = q - w/F in range and ±M beyond (tied); dy/dF = q and
    /// dy/df = -F·w/f² in range and 0 beyond (dual). Reads w again.
    std::function<void(const Tensor& gradient)> backward;
  };
  /// `found`: block scales as a QuantizedTensor has them.
  [[nodiscard]] Result quantized(const Tensor& weight, const Tensor& found, float tensor_scale, bool clip) const;

 private:
  const BlockFormat* format_;
  BlockFormat by_floats_;                  ///< the same with scales as they are
  ParameterPointer of_codes_, of_values_;  ///< one where they are tied
};

}  // namespace qad
