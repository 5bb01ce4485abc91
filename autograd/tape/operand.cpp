#include "autograd/tape/operand.h"

#include "autograd/base/error.h"
#include "autograd/base/profile.h"
#include "autograd/core/elements.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

class PlainOperand final : public Operand {
 public:
  explicit PlainOperand(Tensor tensor) : tensor_(std::move(tensor)) {}
  [[nodiscard]] Shape shape() const override { return tensor_.shape(); }
  [[nodiscard]] std::size_t bytes() const override { return tensor_.bytes(); }
  [[nodiscard]] Tensor expand() const override { return tensor_.dtype() == DType::f32 ? tensor_ : Operand::expand(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    expand_rows(begin, end, DType::f32, reinterpret_cast<std::byte*>(out));
  }
  [[nodiscard]] bool exact_in_bf16() const override { return tensor_.dtype() == DType::bf16; }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    expand_rows(begin, end, DType::bf16, reinterpret_cast<std::byte*>(out));
  }
  [[nodiscard]] Tensor expand_bf16() const override { return tensor_; }

 private:
  void expand_rows(std::int64_t begin, std::int64_t end, DType type, std::byte* out) const {
    const std::int64_t size = (end - begin) * tensor_.cols();
    const std::size_t bytes = bytes_of(tensor_.dtype());
    const ProfileScope scope("expand", 0, static_cast<double>(size) * static_cast<double>(bytes + bytes_of(type)));
    const std::byte* const from = tensor_.raw() + static_cast<std::size_t>(begin * tensor_.cols()) * bytes;
    element_kernels(tensor_.device()).convert(tensor_.dtype(), from, type, out, size);
  }

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

std::shared_ptr<const Operand> Operand::gather(const std::vector<std::int64_t>& rows) const {
  const Tensor all = expand();
  Tensor result({static_cast<std::int64_t>(rows.size()), all.cols()});
  kernel_table(all.device())
      .copy_rows(result.rows(), static_cast<std::size_t>(all.cols()) * sizeof(float), all.raw(), rows.data(),
                 result.raw(), nullptr);
  return operand_of(result);
}

std::shared_ptr<const Operand> operand_of(const Tensor& tensor) { return std::make_shared<PlainOperand>(tensor); }

}  // namespace qad
