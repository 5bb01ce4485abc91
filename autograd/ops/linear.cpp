#include "autograd/ops/linear.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {

using kernels::Transpose;

namespace {

// An operand that several layers read: they expand it in their backward one after the other, and all but the first find
// it expanded already.
class ExpandedOnce final : public Operand {
 public:
  explicit ExpandedOnce(std::shared_ptr<const Operand> operand) : operand_(std::move(operand)) {}
  [[nodiscard]] Shape shape() const override { return operand_->shape(); }
  [[nodiscard]] std::size_t bytes() const override { return operand_->bytes(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    operand_->expand_rows(begin, end, out);
  }
  [[nodiscard]] std::shared_ptr<const Operand> gather(const std::vector<std::int64_t>& rows) const override {
    return operand_->gather(rows);
  }
  [[nodiscard]] const Operand& source() const override { return operand_->source(); }
  [[nodiscard]] Tensor expand() const override {
    if (!floats_.defined()) floats_ = operand_->expand();
    return floats_;
  }
  void forget_floats() const { floats_ = Tensor(); }

 private:
  std::shared_ptr<const Operand> operand_;
  mutable Tensor floats_;
};

}  // namespace

Variable transformed(const Variable& x, const TransformSlot& slot, Readers readers) {
  if (slot == nullptr) return x;
  TransformResult result = slot->apply(x.value(), 0, readers);
  Tensor value = result.value.defined() || !readers.empty() ? result.value : result.operand->expand();
  const auto operand = std::make_shared<const ExpandedOnce>(std::move(result.operand));
  return record(
      "transformed", std::move(value), {x},
      [x = x.sink(), rule = std::move(result.backward), operand](const Tensor& d_out) {
        operand->forget_floats();  // all that read it are behind us
        if (!rule) {
          x->share(d_out);
          return;
        }
        Tensor dx = d_out.unique() ? d_out : d_out.clone();
        rule(dx);
        x->give(std::move(dx));
      },
      operand);
}

void accumulate_weight_gradient(const ParameterOperand& weight, const Tensor& d, const Tensor& x) {
  const std::int64_t out = d.cols();
  const std::int64_t in = x.cols();
  weight.add_gradient([&](const Tensor& gradient, bool fresh) {
    kernel_table(d.device())
        .gemm(Transpose::yes, Transpose::no, out, in, d.rows(), d.data(), out, x.data(), in, !fresh, gradient.data(),
              in);
  });
}

Variable linear(const Variable& x, const ParameterOperand& weight, const ParameterOperand& bias) {
  QAD_ASSERT(x.shape().cols() == weight.shape().cols());
  Tensor y = times_transposed(x, weight.values());
  const KernelTable& kernel = kernel_table(y.device());
  if (bias.defined()) kernel.add_bias(y.rows(), y.cols(), bias.values().expand().data(), y.data());

  if (!recording()) return Variable(std::move(y));
  // Kept for backward: x and the weight in their saved forms. The weight's own variable is a leaf and costs nothing.
  return record(
      "linear", std::move(y), {x, weight.parameter, bias.parameter},
      [x_sink = x.sink(), x_operand = weight.needs_gradient() ? x.operand() : nullptr, weight, bias](const Tensor& dy) {
        if (x_sink != nullptr) {
          const auto [dx, fresh] = x_sink->buffer({dy.rows(), weight.shape().cols()});
          weight.values().multiply(dy, !fresh, dx);
        }
        if (weight.needs_gradient()) accumulate_weight_gradient(weight, dy, x_operand->expand());
        if (bias.needs_gradient())
          bias.accumulate_gradient([&](const Tensor& d_bias) {
            kernel_table(dy.device()).accumulate_column_sums(dy.rows(), dy.cols(), dy.data(), d_bias.data());
          });
      });
}

}  // namespace qad
