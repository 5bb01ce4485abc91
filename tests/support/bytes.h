// Tensors as bytes, for tests of files: any bit pattern of any dtype, and equality to the bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "autograd/base/random.h"
#include "autograd/core/tensor.h"

namespace qad::testing {

/// Bytes that look random; another `stream`, other bytes.
inline Tensor numbered(const Shape& shape, DType dtype, std::uint64_t stream) {
  Tensor tensor(shape, dtype);
  const std::uint64_t odd = random_bits(stream, 1, 0) | 1;
  for (std::size_t i = 0; i < tensor.bytes(); ++i) tensor.raw()[i] = static_cast<std::byte>(odd * (i + 1) >> 56);
  return tensor;
}

inline std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.raw()), tensor.bytes()};
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::equal(a.raw(), a.raw() + a.bytes(), b.raw());
}

}  // namespace qad::testing
