#include "autograd/ops/linear.h"

#include "autograd/core/error.h"
#include "autograd/kernels/table.h"
#include "autograd/ops/panel_product.h"

namespace qad {

using kernels::Transpose;

Variable transformed(const Variable& x, const TransformSlot& slot) {
  if (slot == nullptr) return x;
  TransformResult result = slot->apply(x.value(), 0);
  Tensor value = result.value.defined() ? result.value : result.operand->expand();
  return record(
      "transformed", std::move(value), {x},
      [x = x.slot(), rule = std::move(result.backward)](const Tensor& d_out) {
        if (!rule) {
          x->share(d_out);
          return;
        }
        Tensor dx = d_out.clone();
        rule(dx);
        x->give(std::move(dx));
      },
      std::move(result.operand));
}

WeightOperand weight_operand(const Variable& weight, std::uint64_t version, const TransformSlot& slot) {
  if (slot == nullptr) return {weight, {save(weight.value()), weight.value(), {}}};
  return {weight, slot->apply(weight.value(), version)};
}

void accumulate_weight_gradient(const WeightOperand& operand, const Tensor& d, const Tensor& x) {
  const std::int64_t rows = d.rows();
  const std::int64_t out = d.cols();
  const std::int64_t in = x.cols();
  const Shape shape = operand.weight.shape();
  const auto product = [&](bool accumulate, const Tensor& target) {
    kernel_table(d.device())
        .gemm(Transpose::yes, Transpose::no, out, in, rows, d.data(), out, x.data(), in, accumulate, target.data(), in);
  };
  GradientSlot& slot = *operand.weight.slot();
  if (operand.result.backward) {
    const Tensor gradient(shape);
    product(false, gradient);
    operand.result.backward(gradient);
    slot.give(gradient);
  } else {
    const auto [target, fresh] = slot.buffer(shape);
    product(!fresh, target);
  }
}

Variable linear(const Variable& x, const Variable& weight, std::uint64_t version, const TransformSlot& weight_slot,
                const Variable& bias) {
  QAD_ASSERT(x.value().cols() == weight.value().cols());
  WeightOperand operand = weight_operand(weight, version, weight_slot);
  Tensor y = times_transposed(x.value(), *operand.result.operand);
  const KernelTable& kernel = kernel_table(y.device());
  if (bias.value().defined()) kernel.add_bias(y.rows(), y.cols(), save(bias.value())->expand().data(), y.data());

  if (!recording()) return Variable(std::move(y));
  // Kept for backward: x and the weight in their saved forms. The weight's own variable is a leaf and costs nothing.
  return record("linear", std::move(y), {x, weight, bias},
                [x_slot = x.slot(), x_saved = weight.needs_gradient() ? x.saved() : nullptr, weight,
                 result = std::move(operand.result), bias](const Tensor& dy) {
                  if (x_slot != nullptr) {
                    const auto [dx, fresh] = x_slot->buffer({dy.rows(), weight.value().cols()});
                    times(dy, *result.operand, !fresh, dx);
                  }
                  if (weight.needs_gradient()) accumulate_weight_gradient({weight, result}, dy, x_saved->expand());
                  if (bias.needs_gradient()) {
                    const Tensor d_bias = bias.slot()->accumulator(bias.shape());
                    kernel_table(dy.device()).accumulate_column_sums(dy.rows(), dy.cols(), dy.data(), d_bias.data());
                  }
                });
}

}  // namespace qad
