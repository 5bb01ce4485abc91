// Linear layers. Those that read the same input (q/k/v, gate/up) form a group with one slot for that input, beside the
// slot of each parameter. All slots are empty until somebody fills them by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "autograd/nn/parameter.h"
#include "autograd/ops/linear.h"

namespace qad {

struct Linear {
  std::string name;         ///< module name: model.layers.0.self_attn.q_proj
  ParameterPointer weight;  ///< [out, in]
  ParameterPointer bias;    ///< [out], or null
  double token_share = 1;   ///< of a batch's tokens, how many go through it: less than all for an expert
  std::string fused{};      ///< what engines run as one matrix has one name here; empty: all of the group

  [[nodiscard]] std::int64_t in_features() const { return weight->shape().cols(); }
  [[nodiscard]] std::int64_t out_features() const { return weight->shape().rows(); }
  /// x·weightᵀ + bias, for an x that has passed the group's input slot.
  [[nodiscard]] Variable operator()(const Variable& x) const;
};

struct LinearGroup {
  std::string name;  ///< model.layers.0.self_attn.qkv_proj; of a single member: that member's name
  std::vector<Linear> members{};
  TransformSlot input_slot{};
  /// Whose elements (of a norm) or rows (of a linear layer's weight) scale the columns of the input, so that a factor
  /// may go from one to the other; of heads that share keys and values a row stands for several columns. Null: nothing.
  ParameterPointer fed_by{};

  /// x as its members read it: through the input slot, in a form that serves them. `read_by`: those of them that do
  /// so; none given: all.
  [[nodiscard]] Variable input(const Variable& x, std::span<const Linear* const> read_by = {}) const;
  /// One output a member.
  [[nodiscard]] std::vector<Variable> operator()(const Variable& x) const;
};

}  // namespace qad
