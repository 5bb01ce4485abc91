// The tape: a value, and how its gradient reaches the values it was made from.
//
// An op computes its result on plain tensors and calls record() with the rule that turns the result's gradient into
// those of its inputs. Nodes hold gradient sinks and what they saved, never the values themselves, so a value lives
// only as long as somebody needs it. backward() walks the nodes from the newest to the oldest: an order that is always
// valid, needs no recursion and accumulates in the same order every time.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "autograd/core/tensor.h"
#include "autograd/tape/operand.h"

namespace qad {

struct Node;

/// Where the gradient of one value gathers.
class GradientSink {
 public:
  /// Adds a gradient that nobody else uses; the first one is taken as it is.
  void give(Tensor fresh);
  /// Adds a gradient whose storage others still read.
  void share(const Tensor& gradient);
  /// A buffer that kernels may add to. `fresh` in the result: it holds nothing yet and must be overwritten.
  struct Buffer {
    Tensor tensor;
    bool fresh;
  };
  [[nodiscard]] Buffer buffer(const Shape& shape);

  [[nodiscard]] const Tensor& gradient() const { return gradient_; }
  [[nodiscard]] Tensor take();  ///< the gradient; the sink is empty afterwards

  std::shared_ptr<Node> producer;  ///< null for leaves
  bool queued = false;             ///< backward() has it in its queue

 private:
  Tensor gradient_;
  bool exclusive_ = false;
};

struct Node {
  const char* name;
  std::uint64_t sequence;  ///< later nodes have larger numbers
  std::vector<std::shared_ptr<GradientSink>> inputs;
  std::function<void(const Tensor& d_out)> backward;  ///< runs once: may write over a d_out that is unique
};

class Variable {
 public:
  Variable() = default;
  /// A constant.
  explicit Variable(Tensor value) : value_(std::move(value)) {}
  /// One that no tensor holds.
  explicit Variable(std::shared_ptr<const Operand> operand) : operand_(std::move(operand)) {}
  /// A leaf that gathers a gradient, such as a parameter.
  [[nodiscard]] static Variable leaf(Tensor value);

  /// Undefined after a transform whose readers multiply its operand as it is.
  [[nodiscard]] const Tensor& value() const { return value_; }
  [[nodiscard]] Shape shape() const { return value_.defined() || !operand_ ? value_.shape() : operand_->shape(); }
  /// Null for a constant.
  [[nodiscard]] const std::shared_ptr<GradientSink>& sink() const { return sink_; }
  [[nodiscard]] bool needs_gradient() const { return sink_ != nullptr; }
  /// The form in which nodes keep this value for backward: codes after a transform that made some, else the floats.
  [[nodiscard]] std::shared_ptr<const Operand> operand() const { return operand_ ? operand_ : operand_of(value_); }

 private:
  friend Variable record(const char*, Tensor, std::initializer_list<Variable>, std::function<void(const Tensor&)>,
                         std::shared_ptr<const Operand>);
  Tensor value_;
  std::shared_ptr<GradientSink> sink_;
  std::shared_ptr<const Operand> operand_;
};

/// Makes an op's result; throws Stopped where a signal asked for that. Without gradients to compute (all inputs
/// constant, or a NoGradScope) `backward` is dropped. `operand`, if given, is what later nodes keep of this value.
[[nodiscard]] Variable record(const char* name, Tensor value, std::initializer_list<Variable> inputs,
                              std::function<void(const Tensor& d_out)> backward,
                              std::shared_ptr<const Operand> operand = nullptr);

/// x·weightᵀ, x in the form that it has.
[[nodiscard]] Tensor times_transposed(const Variable& x, const Operand& weight);
/// The same into memory that is there.
void times_transposed(const Variable& x, const Operand& weight, float* out);

/// Nothing is recorded while one of these lives on this thread.
class NoGradScope {
 public:
  NoGradScope();
  ~NoGradScope();
  NoGradScope(const NoGradScope&) = delete;
  NoGradScope& operator=(const NoGradScope&) = delete;

 private:
  bool previous_;
};
[[nodiscard]] bool recording();

/// Sends `d_out` (ones when undefined) from `root` to all leaves; the nodes are freed on the way. Stopped leaves
/// gradients in some of the leaves.
void backward(const Variable& root, const Tensor& d_out = {});

/// Runs `block` on x without recording, and again, recording, when its gradient is asked for: memory for time, same
/// bits.
[[nodiscard]] Variable recompute(const std::function<Variable(const Variable&)>& block, const Variable& x);
/// While recompute runs its block for the second time, on this thread: what was counted is not counted again.
[[nodiscard]] bool recomputing();

}  // namespace qad
