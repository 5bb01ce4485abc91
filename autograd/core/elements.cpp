#include "autograd/core/elements.h"

#include <algorithm>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

using Bits = std::uint16_t;
constexpr std::int64_t kChunk = 1 << 15;

void zero(std::byte* out, std::size_t bytes) { std::memset(out, 0, bytes); }

void fill(float* out, std::int64_t size, float value) { std::fill_n(out, size, value); }

void copy(const std::byte* from, std::byte* out, std::size_t bytes) { std::memcpy(out, from, bytes); }

template <class From, class To, class Function>
void convert_each(const std::byte* from, std::byte* out, std::int64_t size, Function function) {
  const auto* const source = reinterpret_cast<const From*>(from);
  auto* const target = reinterpret_cast<To*>(out);
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) target[i] = function(source[i]);
  });
}

constexpr int pair_of(DType from, DType to) { return static_cast<int>(from) * 16 + static_cast<int>(to); }

void convert(DType type, const std::byte* from, DType out_type, std::byte* out, std::int64_t size) {
  switch (pair_of(type, out_type)) {
    case pair_of(DType::f32, DType::bf16):
      return convert_each<float, Bits>(from, out, size, [](float value) { return f32_to_bf16(value); });
    case pair_of(DType::f32, DType::f16): return convert_each<float, Bits>(from, out, size, f32_to_f16);
    case pair_of(DType::bf16, DType::f32):
      return convert_each<Bits, float>(from, out, size, [](Bits bits) { return bf16_to_f32(bits); });
    case pair_of(DType::f16, DType::f32): return convert_each<Bits, float>(from, out, size, f16_to_f32);
    case pair_of(DType::bf16, DType::f16):
      return convert_each<Bits, Bits>(from, out, size, [](Bits bits) { return f32_to_f16(bf16_to_f32(bits)); });
    case pair_of(DType::f16, DType::bf16):
      return convert_each<Bits, Bits>(from, out, size, [](Bits bits) { return f32_to_bf16(f16_to_f32(bits)); });
    case pair_of(DType::f32, DType::f32):
      return convert_each<float, float>(from, out, size, [](float value) { return value; });
    default: QAD_ASSERT(type == out_type && bytes_of(type) == sizeof(Bits));
  }
  convert_each<Bits, Bits>(from, out, size, [](Bits bits) { return bits; });
}

void round_to_bf16(const float* from, float* out, std::int64_t size) {
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = bf16_to_f32(f32_to_bf16(from[i]));
  });
}

constexpr ElementKernels kCpu = {zero, fill, copy, convert, round_to_bf16};

}  // namespace

const ElementKernels& element_kernels(Device device) {
  QAD_ASSERT(device == Device::cpu);
  return kCpu;
}

}  // namespace qad
