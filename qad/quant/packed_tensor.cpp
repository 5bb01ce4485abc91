#include "qad/quant/packed_tensor.h"

#include "autograd/ops/rows.h"
#include "autograd/tape/batch_invariant.h"
#include "qad/formats/integer_product.h"

namespace qad {

void CodedOperand::multiply_transposed(const Tensor& x, float* out) const {
  if (batch_invariant()) multiply_in_order(as_f32(x), out);
  else Operand::multiply_transposed(x, out);
}

void CodedOperand::multiply_transposed(const Operand& x, float* out) const {
  const auto* const codes = dynamic_cast<const PackedTensor*>(&x.source());
  if (codes != nullptr && multiplies(codes->format())) integer_product(codes->tensor(), rows_for_products(), out);
  else multiply_transposed(x.expand(), out);
}

void PackedTensor::multiply_in_order(const Tensor& x, float* out) const {
  if (can_be_interleaved(format())) in_order_product(x, rows_for_products(), out);
  else in_order_product(x, tensor_, out);
}

std::shared_ptr<const Operand> PackedTensor::gather(const std::vector<std::int64_t>& rows) const {
  QuantizedTensor some = tensor_;
  some.rows = static_cast<std::int64_t>(rows.size());
  some.codes = gather_rows(tensor_.codes, rows);
  if (tensor_.scales.defined()) some.scales = gather_rows(tensor_.scales, rows);
  return std::make_shared<PackedTensor>(std::move(some));
}

const InterleavedRows& PackedTensor::rows_for_products() const {
  std::call_once(once_, [this] { interleaved_ = interleaved(tensor_); });
  return interleaved_;
}

}  // namespace qad
