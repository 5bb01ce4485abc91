// Named values that a model owns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "autograd/tape/parameter_operand.h"

namespace qad {

/// What a parameter is for. Fresh values, weight decay and plans follow it.
enum class Role : std::uint8_t {
  weight,     ///< of a linear layer
  embedding,  ///< rows by token
  norm,       ///< factors of a norm
  bias,
  router,       ///< of experts
  choice_bias,  ///< of experts: moves a router's choice, has no gradient, and is FP32 wherever it is kept
  convolution,  ///< taps of a short convolution
  decay,        ///< of a recurrence, by head or channel; FP32 wherever it is kept
  head,         ///< of the output, where it is not the embedding
  scale,        ///< that is trained
};

constexpr auto enum_names(Role) {
  return std::to_array<EnumName<Role>>({{Role::weight, "linear"},
                                        {Role::embedding, "embedding"},
                                        {Role::norm, "norm"},
                                        {Role::bias, "bias"},
                                        {Role::router, "router"},
                                        {Role::choice_bias, "choice_bias"},
                                        {Role::convolution, "convolution"},
                                        {Role::decay, "decay"},
                                        {Role::head, "head"},
                                        {Role::scale, "scale"}});
}

/// In which type a parameter is kept where others are kept in `type`.
[[nodiscard]] constexpr DType kept_type(Role role, DType type) {
  return role == Role::choice_bias || role == Role::decay ? DType::f32 : type;
}

struct Parameter {
  Parameter(std::string its_name, Variable its_variable)
      : name(std::move(its_name)), variable(std::move(its_variable)) {}

  std::string name;   ///< its name in the model's files, such as model.layers.0.self_attn.q_proj.weight
  Variable variable;  ///< a leaf when trained, else a constant (FP32, BF16 or F16)
  Role role = Role::weight;
  TransformSlot slot = nullptr;                   ///< what ops read instead of the value; null: the value itself
  std::shared_ptr<const Operand> kept = nullptr;  ///< values that no tensor holds, such as codes; null: value()

  /// Undefined where the values are kept in another form (`kept`).
  [[nodiscard]] const Tensor& value() const { return variable.value(); }
  [[nodiscard]] Shape shape() const { return kept != nullptr ? kept->shape() : value().shape(); }
  [[nodiscard]] std::size_t bytes() const { return kept != nullptr ? kept->bytes() : value().bytes(); }
  /// Goes up with every change of the value, so that what was derived from it is made anew.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  /// To be called by whoever has written to value().
  void changed() { ++version_; }
  /// Whether weight decay pulls it to zero: matrices that are multiplied.
  [[nodiscard]] bool decays() const {
    return role != Role::norm && role != Role::bias && role != Role::choice_bias && role != Role::decay &&
           role != Role::scale;
  }
  [[nodiscard]] bool trained() const { return variable.needs_gradient(); }
  /// As ops read it.
  [[nodiscard]] ParameterOperand operand() const {
    return kept != nullptr ? ParameterOperand(kept) : ParameterOperand(variable, version_, slot);
  }

 private:
  std::uint64_t version_ = 1;
};

/// Shared: a tied head is the embedding's parameter.
using ParameterPointer = std::shared_ptr<Parameter>;
using ParameterList = std::vector<ParameterPointer>;

/// A parameter from a value; trained ones must be FP32 (the master weights).
[[nodiscard]] ParameterPointer make_parameter(std::string name, Tensor value, bool trained);
/// One whose values no tensor holds; it is multiplied as it is kept, and never trained.
[[nodiscard]] ParameterPointer make_parameter(std::string name, std::shared_ptr<const Operand> kept);

}  // namespace qad
