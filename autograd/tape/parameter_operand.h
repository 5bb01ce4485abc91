// A parameter as an op reads it: its own values, or what its slot makes of them.
#pragma once

#include <cstdint>
#include <functional>

#include "autograd/tape/operand_transform.h"
#include "autograd/tape/variable.h"

namespace qad {

struct ParameterOperand {
  /// None, such as the bias of a linear layer without one.
  ParameterOperand() = default;
  /// Its own values; implicit, so that an op takes a bare variable as well.
  ParameterOperand(const Variable& source);  // NOLINT(google-explicit-constructor)
  ParameterOperand(const Variable& source, std::uint64_t version, const TransformSlot& slot);
  /// Values that no tensor holds; nothing is learned of them.
  explicit ParameterOperand(std::shared_ptr<const Operand> values);

  [[nodiscard]] bool defined() const { return result.operand != nullptr; }
  [[nodiscard]] bool needs_gradient() const { return parameter.needs_gradient(); }
  [[nodiscard]] Shape shape() const { return result.operand->shape(); }
  [[nodiscard]] const Operand& values() const { return *result.operand; }
  /// Calls add(gradient, fresh), which adds the gradient of what was read to `gradient`, or overwrites it where that is
  /// fresh; the slot's rule turns it into the parameter's.
  void add_gradient(const std::function<void(const Tensor& gradient, bool fresh)>& add) const;
  /// The same for kernels that only add: `gradient` is zeroed where it is fresh.
  void accumulate_gradient(const std::function<void(const Tensor& gradient)>& accumulate) const;
  /// The same for kernels that compute several gradients at once: null where this one isn't needed.
  void accumulate_if_needed(const std::function<void(float* gradient)>& accumulate) const;

  Variable parameter;
  TransformResult result;
};

}  // namespace qad
