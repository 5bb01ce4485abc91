// A quantized operand as autograd keeps it: codes and scales (4.5 bits a value in NVFP4), expanded by rows where a
// product needs floats.
#pragma once

#include "autograd/tape/operand.h"
#include "qad/formats/quantize.h"

namespace qad {

class PackedTensor final : public Operand {
 public:
  explicit PackedTensor(QuantizedTensor tensor) : tensor_(std::move(tensor)) {}

  [[nodiscard]] Shape shape() const override { return {tensor_.rows, tensor_.cols}; }
  [[nodiscard]] std::size_t bytes() const override { return tensor_.bytes(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    dequantize_rows(tensor_, begin, end, out);
  }
  [[nodiscard]] bool exact_in_bf16() const override { return tensor_.format->exact_in_bf16(tensor_.tensor_scale); }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    dequantize_rows(tensor_, begin, end, out);
  }
  [[nodiscard]] const QuantizedTensor& tensor() const { return tensor_; }

 private:
  QuantizedTensor tensor_;
};

}  // namespace qad
