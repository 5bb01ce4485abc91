#include "autograd/core/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/core/elements.h"

namespace qad {
namespace {

// A dry run touches nothing but single numbers.
bool is_touched(const Tensor& tensor) { return tensor.bytes() != 0 && (!loops_are_dry() || tensor.size() == 1); }

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype)
    : storage_(std::make_shared<Storage>(static_cast<std::size_t>(shape.size()) * bytes_of(dtype))),
      shape_(shape),
      dtype_(dtype) {}

Tensor Tensor::zeros(const Shape& shape, DType dtype) {
  Tensor result(shape, dtype);
  if (is_touched(result)) element_kernels(result.device()).zero(result.raw(), result.bytes());
  return result;
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor result(shape);
  result.fill(value);
  return result;
}

Tensor Tensor::from(std::span<const float> values, const Shape& shape) {
  QAD_ASSERT(static_cast<std::int64_t>(values.size()) == shape.size());
  Tensor result(shape);
  std::ranges::copy(values, result.data());
  return result;
}

Tensor Tensor::borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Shape& shape,
                      DType dtype) {
  QAD_ASSERT(bytes.size() == static_cast<std::size_t>(shape.size()) * bytes_of(dtype));
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % bytes_of(dtype) != 0) {
    const Tensor copy(shape, dtype);
    std::memcpy(copy.raw(), bytes.data(), bytes.size());
    return copy;
  }
  Tensor result;
  result.storage_ = std::make_shared<Storage>(bytes, std::move(owner));
  result.shape_ = shape;
  result.dtype_ = dtype;
  return result;
}

std::byte* Tensor::raw() const {
  QAD_ASSERT(defined());
  return storage_->data() + offset_;
}

float Tensor::item() const {
  QAD_ASSERT(size() == 1);
  return *data();
}

Tensor Tensor::reshape(const Shape& shape) const {
  QAD_ASSERT(shape.size() == size());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  QAD_ASSERT(shape_.rank() >= 1 && begin >= 0 && begin <= end && end <= shape_[0]);
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  std::ranges::copy(shape_.extents(), extents.begin());
  const std::size_t stride = shape_[0] == 0 ? 0 : bytes() / static_cast<std::size_t>(shape_[0]);
  extents[0] = end - begin;
  Tensor result = *this;
  result.shape_ = Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(shape_.rank())));
  result.offset_ += stride * static_cast<std::size_t>(begin);
  return result;
}

Tensor Tensor::clone() const {
  Tensor result(shape_, dtype_);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::reusable() const { return unique() ? *this : Tensor(shape_, dtype_); }

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return clone();
  Tensor result(shape_, dtype);
  element_kernels(device()).convert(dtype_, raw(), dtype, result.raw(), size());
  return result;
}

void Tensor::fill(float value) const {
  if (is_touched(*this)) element_kernels(device()).fill(data(), size(), value);
}

void Tensor::copy_from(const Tensor& other) const {
  QAD_ASSERT(other.shape() == shape_ && other.dtype() == dtype_);
  if (is_touched(*this)) element_kernels(device()).copy(other.raw(), raw(), bytes());
}

void Tensor::check_access(bool dtype_fits) const { QAD_ASSERT(dtype_fits); }

}  // namespace qad
