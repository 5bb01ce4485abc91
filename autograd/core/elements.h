// What tensors ask of a device, whatever their elements mean: the lowest part of the kernel table, to which
// autograd/kernels/table.h adds what ops need, and qad/formats what number formats need.
#pragma once

#include <cstddef>
#include <cstdint>

#include "autograd/core/dtype.h"
#include "autograd/core/storage.h"

namespace qad {

struct ElementKernels {
  void (*zero)(std::byte* out, std::size_t bytes);
  void (*fill)(float* out, std::int64_t size, float value);
  void (*copy)(const std::byte* from, std::byte* out, std::size_t bytes);
  /// Between f32, bf16 and f16, to the nearest, ties to even; the same type is copied.
  void (*convert)(DType type, const std::byte* from, DType out_type, std::byte* out, std::int64_t size);
  /// Floats to the nearest that BF16 holds.
  void (*round_to_bf16)(const float* from, float* out, std::int64_t size);
};
[[nodiscard]] const ElementKernels& element_kernels(Device device);

}  // namespace qad
