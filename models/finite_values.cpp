#include "models/finite_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <span>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

// The index of the first value that is `wanted`; the number of values without one.
template <class T, class Wanted>
std::int64_t first_where(std::span<const T> values, const Wanted& wanted) {
  const auto size = static_cast<std::int64_t>(values.size());
  std::atomic<std::int64_t> first = size;
  parallel_for(size, 1 << 18, [&](std::int64_t begin, std::int64_t end) {
    const T* const chunk = values.data() + begin;
    T any = 0;  // of the whole chunk: a loop on one type that never leaves early runs at the memory's speed
    for (std::int64_t i = 0; i < end - begin; ++i) any = static_cast<T>(any | T{wanted(chunk[i])});
    if (any == 0) return;
    const std::int64_t place = std::find_if(chunk, chunk + (end - begin), wanted) - values.data();
    std::int64_t seen = first;
    while (place < seen && !first.compare_exchange_weak(seen, place)) {
    }
  });
  return first;
}

std::span<const std::uint32_t> bits_of(const Tensor& floats) {
  return {reinterpret_cast<const std::uint32_t*>(floats.raw()), static_cast<std::size_t>(floats.size())};
}

}  // namespace

std::int64_t first_not_finite(const Tensor& tensor) {
  const auto has_all_of = [](auto exponent) { return [exponent](auto bits) { return (bits & exponent) == exponent; }; };
  if (tensor.dtype() == DType::f32) return first_where(bits_of(tensor), has_all_of(0x7f800000u));
  const std::uint16_t exponent = tensor.dtype() == DType::bf16 ? 0x7f80 : 0x7c00;
  return first_where(std::span<const std::uint16_t>(tensor.span<std::uint16_t>()), has_all_of(exponent));
}

void check_fits_bf16(const std::string& name, const Tensor& tensor) {
  if (tensor.dtype() != DType::f32) return;
  // From this magnitude on the nearest BF16 number is infinity; infinities and NaN lie above it.
  const std::int64_t place =
      first_where(bits_of(tensor), [](std::uint32_t bits) { return (bits & 0x7fffffffu) >= 0x7f7f8000u; });
  if (place < tensor.size())
    throw NotFinite({.who = name,
                     .expected = "weights that BF16 holds, in which they are stored",
                     .got = fmt::format("{} at index {}", tensor.data()[place], place)});
}

}  // namespace qad
