// A dense row-major array: shared storage, a shape, an element type. It knows no gradient (autograd/tape does), and
// every tensor is contiguous, so that a kernel needs a pointer and extents and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "autograd/core/dtype.h"
#include "autograd/core/shape.h"
#include "autograd/core/storage.h"

namespace qad {

template <class T>
constexpr bool matches(DType dtype) {
  if constexpr (std::is_same_v<T, float>) return dtype == DType::f32;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return dtype == DType::bf16 || dtype == DType::f16;
  else if constexpr (std::is_same_v<T, std::int64_t>) return dtype == DType::i64;
  else if constexpr (std::is_same_v<T, std::int32_t>) return dtype == DType::i32;
  else return std::is_same_v<T, std::uint8_t> && dtype == DType::u8;
}

class Tensor {
 public:
  /// No storage at all; `defined()` is false.
  Tensor() = default;
  /// Uninitialised memory.
  explicit Tensor(const Shape& shape, DType dtype = DType::f32);
  [[nodiscard]] static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  [[nodiscard]] static Tensor full(const Shape& shape, float value);
  [[nodiscard]] static Tensor from(std::span<const float> values, const Shape& shape);
  /// Bytes that `owner` keeps, a mapped file's for example, as a tensor that nobody may write to but who knows that the
  /// owner allows it. A copy where they do not lie at a multiple of the element's size.
  [[nodiscard]] static Tensor borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                     const Shape& shape, DType dtype);

  [[nodiscard]] bool defined() const { return storage_ != nullptr; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] std::int64_t size() const { return shape_.size(); }
  [[nodiscard]] std::int64_t rows() const { return shape_.rows(); }
  [[nodiscard]] std::int64_t cols() const { return shape_.cols(); }
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] Device device() const { return storage_ ? storage_->device() : Device::cpu; }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(size()) * bytes_of(dtype_); }

  /// The elements; T must fit the dtype (uint16_t holds BF16 and F16 bits). Constness is that of the handle's user:
  /// like a span, a const Tensor still points to writable memory.
  template <class T = float>
  [[nodiscard]] T* data() const {
    check_access(matches<T>(dtype_));
    return reinterpret_cast<T*>(raw());
  }
  template <class T = float>
  [[nodiscard]] std::span<T> span() const {
    return {data<T>(), static_cast<std::size_t>(size())};
  }
  [[nodiscard]] std::byte* raw() const;
  /// The value of a one-element f32 tensor.
  [[nodiscard]] float item() const;

  /// Same storage, same number of elements, other shape.
  [[nodiscard]] Tensor reshape(const Shape& shape) const;
  /// Same storage; rows [begin, end) of the outermost axis.
  [[nodiscard]] Tensor slice(std::int64_t begin, std::int64_t end) const;
  [[nodiscard]] Tensor clone() const;
  /// Whether the storage is this handle's alone, to write to as it likes: no other handle reads it, no one lent it.
  [[nodiscard]] bool unique() const { return storage_.use_count() == 1 && !storage_->borrowed(); }
  /// Where an elementwise op that is done with this tensor may write its result: the tensor itself if it is unique,
  /// else a new one of its shape.
  [[nodiscard]] Tensor reusable() const;
  /// A copy in another floating type (f32, bf16, f16); rounding is nearest-even.
  [[nodiscard]] Tensor to(DType dtype) const;
  void fill(float value) const;
  void copy_from(const Tensor& other) const;  ///< same shape and dtype

 private:
  void check_access(bool dtype_fits) const;

  std::shared_ptr<Storage> storage_;
  Shape shape_;
  std::size_t offset_ = 0;  ///< bytes
  DType dtype_ = DType::f32;
};

/// The tensor itself where it is FP32, else a copy that is.
[[nodiscard]] inline Tensor as_f32(const Tensor& x) { return x.dtype() == DType::f32 ? x : x.to(DType::f32); }

}  // namespace qad
