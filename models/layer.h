// What a model is made of: layers that add to its residual stream. What a layer owns is shown to visitors; what it
// remembers between tokens is its own business.
//
// Shapes: T tokens of a batch, C hidden size.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/nn/attention.h"
#include "autograd/nn/linear.h"
#include "autograd/nn/parameter.h"
#include "autograd/ops/sequence_part.h"
#include "models/module_kind.h"

namespace qad {

/// How a new model's parameter begins.
enum class Fresh : std::uint8_t {
  by_role,  ///< weights random, norms one, biases zero
  zeros,
  ones,
  decay,      ///< the logarithm of numbers evenly from 1 to 16 (Mamba-2's A_log)
  time_step,  ///< what softplus makes numbers from 0.001 to 0.1 of, evenly in their logarithms (Mamba-2's dt_bias)
};

/// A parameter before it has a value.
struct ParameterSpec {
  std::string name;  ///< as in the model's files
  Shape shape;
  Role role = Role::weight;
  bool adds_to_residual = false;  ///< a weight whose product is added to the residual stream as it is
  Fresh fresh = Fresh::by_role;
};
/// Makes a parameter: from a file, another model, or random numbers.
using ParameterMaker = std::function<ParameterPointer(const ParameterSpec& spec)>;

/// Where the tokens of a forward stand: shared by all layers.
struct ForwardPlan {
  std::shared_ptr<const std::vector<std::int32_t>> positions;  ///< [T]: place within the sequence
  std::int64_t longest = 0;                                    ///< positions are below it
  std::shared_ptr<const std::vector<SequencePart>> parts;
};

/// What one layer remembers of sequences between their tokens: keys and values, or a recurrence.
class LayerState {
 public:
  LayerState() = default;
  virtual ~LayerState() = default;
  LayerState(const LayerState&) = delete;
  LayerState& operator=(const LayerState&) = delete;

  /// Slot `to` becomes a copy of `from`, which has seen `tokens` tokens.
  virtual void copy(std::int64_t from, std::int64_t to, std::int64_t tokens) = 0;
  /// Forgets what came after the first `tokens` tokens. Throws where that can't be forgotten.
  virtual void cut(std::int64_t slot, std::int64_t tokens) = 0;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
};

struct RoutedExperts;  // models/routing.h

/// Is shown all that a model owns, in the order in which it is used.
class ModuleVisitor {
 public:
  ModuleVisitor() = default;
  virtual ~ModuleVisitor() = default;
  ModuleVisitor(const ModuleVisitor&) = delete;
  ModuleVisitor& operator=(const ModuleVisitor&) = delete;

  virtual void parameter(const ParameterPointer& /*parameter*/) {}  ///< each once, also those of groups
  virtual void group(LinearGroup& /*group*/) {}                     ///< before its parameters
  virtual void attention(SelfAttention& /*attention*/) {}           ///< before its groups
  virtual void experts(RoutedExperts& /*experts*/) {}               ///< before its groups
  virtual void kind(ModuleKind /*kind*/) {}                         ///< of the groups that come next
};
/// Shows a group and its parameters.
void visit(LinearGroup& group, ModuleVisitor& visitor);

class Layer {
 public:
  Layer() = default;
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  /// x_TC has been normalised; what comes back is added to the residual stream. `state` is one of make_state's, or null
  /// where nothing is remembered.
  [[nodiscard]] virtual Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const = 0;
  /// What its linear layers are; where some are something else, visit() says so.
  [[nodiscard]] virtual ModuleKind kind() const = 0;
  virtual void visit(ModuleVisitor& visitor) = 0;
  /// For `slots` sequences of at most `capacity` tokens each; null for a layer that remembers nothing.
  [[nodiscard]] virtual std::unique_ptr<LayerState> make_state(std::int64_t /*slots*/,
                                                               std::int64_t /*capacity*/) const {
    return nullptr;
  }
};

}  // namespace qad
