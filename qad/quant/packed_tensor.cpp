#include "qad/quant/packed_tensor.h"

#include "autograd/ops/rows.h"
#include "qad/formats/integer_product.h"

namespace qad {

void CodedOperand::multiply_transposed(const Operand& x, float* out) const {
  const auto* const codes = dynamic_cast<const PackedTensor*>(&x.source());
  if (codes != nullptr && multiplies(codes->format())) integer_product(codes->tensor(), rows_for_products(), out);
  else Operand::multiply_transposed(x, out);
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
