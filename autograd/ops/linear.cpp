#include "autograd/ops/linear.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/gradient_products.h"

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
  [[nodiscard]] bool exact_in_bf16() const override { return operand_->exact_in_bf16(); }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    operand_->expand_rows_bf16(begin, end, out);
  }
  [[nodiscard]] Tensor expand_bf16() const override {
    if (!bf16_.defined()) bf16_ = operand_->expand_bf16();
    return bf16_;
  }
  void forget_expanded() const { floats_ = bf16_ = Tensor(); }

 private:
  std::shared_ptr<const Operand> operand_;
  mutable Tensor floats_, bf16_;
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
        operand->forget_expanded();  // all that read it are behind us
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
  const KernelTable& kernel = kernel_table(d.device());
  weight.add_gradient([&](const Tensor& gradient, bool fresh) {
    const auto multiply = [&](auto product, const auto* d_values, const auto* x_values) {
      product(Transpose::yes, Transpose::no, out, in, d.rows(), d_values, out, x_values, in, !fresh, gradient.data(),
              in);
    };
    if (d.dtype() == DType::bf16) multiply(kernel.gemm_bf16, d.data<std::uint16_t>(), x.data<std::uint16_t>());
    else multiply(kernel.gemm, d.data(), x.data());
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
        if (bias.needs_gradient())
          bias.accumulate_gradient([&](const Tensor& d_bias) {
            kernel_table(dy.device()).accumulate_column_sums(dy.rows(), dy.cols(), dy.data(), d_bias.data());
          });
        const Tensor d = gradient_factor(dy);
        if (x_sink != nullptr) {
          const auto [dx, fresh] = x_sink->buffer({d.rows(), weight.shape().cols()});
          weight.values().multiply(d, !fresh, dx);
        }
        if (weight.needs_gradient()) accumulate_weight_gradient(weight, d, gradient_factor(*x_operand));
      });
}

}  // namespace qad
