#include "autograd/tape/operand.h"

#include <algorithm>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"

namespace qad {
namespace {

class PlainOperand final : public Operand {
 public:
  explicit PlainOperand(Tensor tensor) : tensor_(std::move(tensor)) {}
  [[nodiscard]] Shape shape() const override { return tensor_.shape(); }
  [[nodiscard]] std::size_t bytes() const override { return tensor_.bytes(); }
  [[nodiscard]] Tensor expand() const override { return tensor_.dtype() == DType::f32 ? tensor_ : Operand::expand(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    const std::int64_t offset = begin * tensor_.cols();
    const std::int64_t size = (end - begin) * tensor_.cols();
    const ProfileScope scope(
        "expand", 0, static_cast<double>(size) * static_cast<double>(bytes_of(tensor_.dtype()) + sizeof(float)));
    if (tensor_.dtype() == DType::f32) {
      std::memcpy(out, tensor_.data() + offset, static_cast<std::size_t>(size) * sizeof(float));
      return;
    }
    const std::uint16_t* source = tensor_.data<std::uint16_t>() + offset;
    const bool bf16 = tensor_.dtype() == DType::bf16;
    parallel_for(size, 1 << 15, [&](std::int64_t first, std::int64_t last) {
      if (bf16)
        for (std::int64_t i = first; i < last; ++i) out[i] = bf16_to_f32(source[i]);
      else
        for (std::int64_t i = first; i < last; ++i) out[i] = f16_to_f32(source[i]);
    });
  }
  [[nodiscard]] bool exact_in_bf16() const override { return tensor_.dtype() == DType::bf16; }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    const std::int64_t size = (end - begin) * tensor_.cols();
    const ProfileScope scope("expand", 0, 2.0 * sizeof(std::uint16_t) * static_cast<double>(size));
    std::copy_n(tensor_.data<std::uint16_t>() + begin * tensor_.cols(), size, out);
  }
  [[nodiscard]] Tensor expand_bf16() const override { return tensor_; }

 private:
  Tensor tensor_;
};

}  // namespace

Tensor Operand::expand() const {
  Tensor result(shape());
  expand_rows(0, result.rows(), result.data());
  return result;
}

void Operand::expand_rows_bf16(std::int64_t /*begin*/, std::int64_t /*end*/, std::uint16_t* /*out*/) const {
  assertion_failed("exact in BF16", __FILE__, __LINE__);
}

Tensor Operand::expand_bf16() const {
  Tensor result(shape(), DType::bf16);
  expand_rows_bf16(0, result.rows(), result.data<std::uint16_t>());
  return result;
}

std::shared_ptr<const Operand> operand_of(const Tensor& tensor) { return std::make_shared<PlainOperand>(tensor); }

}  // namespace qad
