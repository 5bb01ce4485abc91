#include "qad/formats/distortion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

Distortion measure_chunk(std::span<const float> original, std::span<const float> quantized) {
  Distortion result;
  for (std::size_t i = 0; i < original.size(); ++i) {
    const double x = original[i], q = quantized[i], difference = q - x;
    ++result.values;
    if (difference == 0) ++result.exact;
    if (x != 0 && q == 0) ++result.flushed_to_zero;
    if (x * q < 0) ++result.sign_flips;
    result.signal += x * x;
    result.noise += difference * difference;
    if (x != 0) result.max_relative_error = std::max(result.max_relative_error, std::abs(difference / x));
  }
  return result;
}

}  // namespace

double Distortion::snr_db() const {
  return noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
}

Distortion& Distortion::operator+=(const Distortion& other) {
  values += other.values;
  exact += other.exact;
  flushed_to_zero += other.flushed_to_zero;
  sign_flips += other.sign_flips;
  signal += other.signal;
  noise += other.noise;
  max_relative_error = std::max(max_relative_error, other.max_relative_error);
  return *this;
}

Distortion measure_distortion(std::span<const float> original, std::span<const float> quantized) {
  QAD_ASSERT(original.size() == quantized.size());
  constexpr std::int64_t kChunk = 1 << 16;
  const auto size = static_cast<std::int64_t>(original.size());
  std::vector<Distortion> chunks(static_cast<std::size_t>((size + kChunk - 1) / kChunk));
  parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end) {
    const auto first = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(end - begin);
    chunks[static_cast<std::size_t>(begin / kChunk)] =
        measure_chunk(original.subspan(first, count), quantized.subspan(first, count));
  });
  Distortion total;
  for (const Distortion& chunk : chunks) total += chunk;
  return total;
}

}  // namespace qad
