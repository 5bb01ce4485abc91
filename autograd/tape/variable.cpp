#include "autograd/tape/variable.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

thread_local bool recording_enabled = true;
thread_local bool block_runs_again = false;
thread_local std::uint64_t next_sequence = 1;

void add_into(const Tensor& x, const Tensor& y) {
  QAD_ASSERT(x.shape() == y.shape());
  kernel_table(y.device()).accumulate(y.size(), x.data(), y.data());
}

}  // namespace

void GradientSink::give(Tensor fresh) {
  if (!gradient_.defined()) {
    gradient_ = std::move(fresh);
    exclusive_ = true;
  } else if (exclusive_) {
    add_into(fresh, gradient_);
  } else {
    add_into(gradient_, fresh);
    gradient_ = std::move(fresh);
    exclusive_ = true;
  }
}

void GradientSink::share(const Tensor& gradient) {
  if (!gradient_.defined()) {
    gradient_ = gradient;
    exclusive_ = false;
  } else {
    if (!exclusive_) gradient_ = gradient_.clone();
    exclusive_ = true;
    add_into(gradient, gradient_);
  }
}

GradientSink::Buffer GradientSink::buffer(const Shape& shape) {
  const bool fresh = !gradient_.defined();
  if (fresh) gradient_ = Tensor(shape);
  else if (!exclusive_) gradient_ = gradient_.clone();
  exclusive_ = true;
  QAD_ASSERT(gradient_.shape() == shape);
  return {gradient_, fresh};
}

Tensor GradientSink::take() { return std::exchange(gradient_, Tensor()); }

Variable Variable::leaf(Tensor value) {
  Variable result(std::move(value));
  result.sink_ = std::make_shared<GradientSink>();
  return result;
}

Variable record(const char* name, Tensor value, std::initializer_list<Variable> inputs,
                std::function<void(const Tensor& d_out)> backward, std::shared_ptr<const Operand> operand) {
  throw_if_stopped();  // every op comes by here
  Variable result(std::move(value));
  result.operand_ = std::move(operand);
  const bool wanted = std::ranges::any_of(inputs, [](const Variable& input) { return input.needs_gradient(); });
  if (!recording_enabled || !wanted) return result;
  auto node = std::make_shared<Node>(Node{name, next_sequence++, {}, std::move(backward)});
  for (const Variable& input : inputs)
    if (input.needs_gradient()) node->inputs.push_back(input.sink());
  result.sink_ = std::make_shared<GradientSink>();
  result.sink_->producer = std::move(node);
  return result;
}

void times_transposed(const Variable& x, const Operand& weight, float* out) {
  if (x.value().defined()) weight.multiply_transposed(x.value(), out);
  else weight.multiply_transposed(*x.operand(), out);
}

Tensor times_transposed(const Variable& x, const Operand& weight) {
  Tensor out({x.shape().rows(), weight.shape().rows()});
  times_transposed(x, weight, out.data());
  return out;
}

NoGradScope::NoGradScope() : previous_(recording_enabled) { recording_enabled = false; }
NoGradScope::~NoGradScope() { recording_enabled = previous_; }
bool recording() { return recording_enabled; }

void backward(const Variable& root, const Tensor& d_out) {
  QAD_ASSERT(root.needs_gradient());
  root.sink()->give(d_out.defined() ? d_out.clone() : Tensor::full(root.shape(), 1.0f));

  using SinkPointer = std::shared_ptr<GradientSink>;
  const auto older = [](const SinkPointer& a, const SinkPointer& b) {
    return a->producer->sequence < b->producer->sequence;
  };
  std::priority_queue<SinkPointer, std::vector<SinkPointer>, decltype(older)> queue(older);
  const auto enqueue = [&](const SinkPointer& sink) {
    if (sink->producer == nullptr || sink->queued) return;
    sink->queued = true;
    queue.push(sink);
  };
  enqueue(root.sink());
  while (!queue.empty()) {
    throw_if_stopped();
    const SinkPointer sink = queue.top();
    queue.pop();
    const std::shared_ptr<Node> node = std::move(sink->producer);
    sink->producer = nullptr;
    // No gradient: the value fed only what did not matter in the end.
    if (const Tensor gradient = sink->take(); gradient.defined()) node->backward(gradient);
    for (const SinkPointer& input : node->inputs) enqueue(input);
  }
}

namespace {

Variable run_again(const std::function<Variable(const Variable&)>& block, const Variable& x) {
  struct Scope {
    Scope() { block_runs_again = true; }
    ~Scope() { block_runs_again = false; }
  } scope;
  return block(x);
}

}  // namespace

bool recomputing() { return block_runs_again; }

Variable recompute(const std::function<Variable(const Variable&)>& block, const Variable& x) {
  if (!recording()) return block(x);
  Tensor value;
  {
    const NoGradScope no_grad;
    value = block(Variable(x.value())).value();
  }
  // The parameters inside the block need gradients even where x does not: the sink of a stand-in leaf keeps the node.
  const Variable input = x.needs_gradient() ? x : Variable::leaf(x.value());
  return record("recompute", std::move(value), {input}, [block, input](const Tensor& d_out) {
    const Variable again = Variable::leaf(input.value());
    backward(run_again(block, again), d_out);
    if (Tensor gradient = again.sink()->take(); gradient.defined()) input.sink()->give(std::move(gradient));
  });
}

}  // namespace qad
