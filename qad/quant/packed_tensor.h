// Quantized operands as autograd keeps them: codes and scales (4.5 bits a value in NVFP4), multiplied as they are where
// both factors are codes of one format that can be (integer_product.h), else expanded by rows.
#pragma once

#include <mutex>

#include "autograd/tape/operand.h"
#include "qad/formats/in_order_product.h"
#include "qad/formats/quantize.h"

namespace qad {

/// Codes in whatever layout.
class CodedOperand : public Operand {
 public:
  [[nodiscard]] virtual const BlockFormat& format() const = 0;
  /// Whether it multiplies codes of `other` as they are.
  [[nodiscard]] bool multiplies(const BlockFormat& other) const {
    return &format() == &other && can_be_interleaved(other);
  }
  /// Of an x that is no such codes; decoding multiplies the codes as they are here too (in_order_product.h).
  void multiply_transposed(const Tensor& x, float* out) const override;
  void multiply_transposed(const Operand& x, float* out) const override;

 protected:
  [[nodiscard]] virtual const InterleavedRows& rows_for_products() const = 0;
  virtual void multiply_in_order(const Tensor& x, float* out) const = 0;
};

/// As they come from the quantizer.
class PackedTensor final : public CodedOperand {
 public:
  explicit PackedTensor(QuantizedTensor tensor) : tensor_(std::move(tensor)) {}

  [[nodiscard]] Shape shape() const override { return {tensor_.rows, tensor_.cols}; }
  [[nodiscard]] std::size_t bytes() const override {
    return tensor_.bytes() + (interleaved_.bytes.defined() ? interleaved_.bytes.bytes() : 0);
  }
  [[nodiscard]] const BlockFormat& format() const override { return *tensor_.format; }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    dequantize_rows(tensor_, begin, end, out);
  }
  [[nodiscard]] bool exact_in_bf16() const override { return tensor_.format->exact_in_bf16(tensor_.tensor_scale); }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    dequantize_rows(tensor_, begin, end, out);
  }
  [[nodiscard]] std::shared_ptr<const Operand> gather(const std::vector<std::int64_t>& rows) const override;
  [[nodiscard]] const QuantizedTensor& tensor() const { return tensor_; }

 protected:
  /// Made with the first product, and kept.
  [[nodiscard]] const InterleavedRows& rows_for_products() const override;
  void multiply_in_order(const Tensor& x, float* out) const override;

 private:
  QuantizedTensor tensor_;
  mutable std::once_flag once_;
  mutable InterleavedRows interleaved_;
};

/// Laid out for products alone: a weight that is never trained.
class InterleavedTensor final : public CodedOperand {
 public:
  explicit InterleavedTensor(const QuantizedTensor& tensor) : rows_(interleaved(tensor)) {}

  [[nodiscard]] Shape shape() const override { return {rows_.rows, rows_.cols}; }
  [[nodiscard]] std::size_t bytes() const override { return rows_.bytes.bytes(); }
  [[nodiscard]] const BlockFormat& format() const override { return *rows_.format; }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    dequantize_rows(separated(rows_, begin, end), 0, end - begin, out);
  }
  [[nodiscard]] bool exact_in_bf16() const override { return rows_.format->exact_in_bf16(rows_.tensor_scale); }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    dequantize_rows(separated(rows_, begin, end), 0, end - begin, out);
  }

 protected:
  [[nodiscard]] const InterleavedRows& rows_for_products() const override { return rows_; }
  void multiply_in_order(const Tensor& x, float* out) const override { in_order_product(x, rows_, out); }

 private:
  InterleavedRows rows_;
};

}  // namespace qad
