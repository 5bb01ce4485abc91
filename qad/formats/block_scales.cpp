#include "qad/formats/block_scales.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/formats/block_scales_simd.h"

namespace qad {
namespace {

// Codes of the scale element that stand for finite numbers above 0, in rising order of these.
std::vector<std::uint32_t> positive_codes(const ElementType& element) {
  std::vector<std::uint32_t> codes;
  const auto values = value_table(element);
  for (std::uint32_t code = 0; code < values.size(); ++code)
    if (values[code] >= kSmallestScale && std::isfinite(values[code])) codes.push_back(code);
  std::ranges::sort(codes, {}, [&](std::uint32_t code) { return values[code]; });
  return codes;
}

class ScaleSearch {
 public:
  ScaleSearch(const BlockFormat& format, float tensor_scale)
      : format_(format),
        tensor_scale_(tensor_scale),
        values_(value_table(*format.element)),
        scale_values_(value_table(*format.scale)),
        candidates_(positive_codes(*format.scale)) {}

  // Of a block w with its moments [count, count].
  [[nodiscard]] std::uint32_t best_for_output(const float* w, std::int64_t count, const double* second,
                                              const double* coupling, std::vector<double>& scratch) const {
    const float amax = block_amax(w, count);
    const std::uint32_t usual = block_scale(format_, amax, tensor_scale_).code;
    if (amax == 0.0f) return usual;
    const auto n = static_cast<std::size_t>(count);
    scratch.assign(3 * n, 0.0);
    const std::span all(scratch), linear = all.first(n), added = all.subspan(n, n), product = all.last(n);
    for (std::size_t i = 0; coupling != nullptr && i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) linear[i] += 2 * coupling[i * n + j] * static_cast<double>(w[j]);
    const auto error_with = [&](std::uint32_t code) {
      rounding_errors(w, scale_of(code), added);
      simd::row_times_square(added.data(), second, count, product.data());
      double error = 0;
      for (std::size_t i = 0; i < n; ++i) error += added[i] * (product[i] + linear[i]);
      return error;
    };
    std::uint32_t best = usual;
    double least = error_with(usual);
    for (const std::uint32_t code : candidates_) {
      if (const double error = error_with(code); error < least) least = error, best = code;
      if (all_zero(code, amax)) break;  // under larger ones nothing changes any more
    }
    return best;
  }

  [[nodiscard]] std::uint32_t best(const float* x, std::int64_t count, std::vector<double>& scratch) const {
    const float amax = block_amax(x, count);
    const std::uint32_t usual = block_scale(format_, amax, tensor_scale_).code;
    if (amax == 0.0f) return usual;
    scratch.resize(static_cast<std::size_t>(count));
    const auto error_with = [&](std::uint32_t code) {
      rounding_errors(x, scale_of(code), scratch);
      double error = 0;
      for (const double added : scratch) error += added * added;
      return error;
    };
    std::uint32_t best = usual;
    double least = error_with(usual);
    const auto consider = [&](std::uint32_t code) {
      if (const double error = error_with(code); error < least) least = error, best = code;
    };
    const auto start = std::ranges::find(candidates_, usual);
    // Smaller scales clip the amax; once that alone costs more, so do all that are smaller still.
    for (auto code = start; code != candidates_.begin() && clipping(*(code - 1), amax) < least; --code)
      consider(*(code - 1));
    // Under larger ones the values fall to zero; then nothing changes any more.
    for (auto code = start; code != candidates_.end() && (code == start || !all_zero(*code, amax)); ++code)
      if (code != start) consider(*code);
    return best;
  }

 private:
  [[nodiscard]] float scale_of(std::uint32_t code) const { return scale_values_[code] * tensor_scale_; }
  // What coding under a scale adds to each value.
  void rounding_errors(const float* x, float scale, std::span<double> errors) const {
    if (format_.element == &kE2M1) return simd::rounding_errors_of_e2m1(x, std::ssize(errors), scale, errors.data());
    for (std::size_t i = 0; i < errors.size(); ++i)
      errors[i] = static_cast<double>(values_[format_.element->encode(x[i] / scale)] * scale) - x[i];
  }
  [[nodiscard]] double clipping(std::uint32_t code, float amax) const {
    const double beyond = static_cast<double>(amax) - static_cast<double>(format_.element->max) * scale_of(code);
    return beyond > 0 ? beyond * beyond : 0;
  }
  [[nodiscard]] bool all_zero(std::uint32_t code, float amax) const {
    return amax / scale_of(code) < format_.element->min_positive / 2;
  }

  const BlockFormat& format_;
  float tensor_scale_;
  std::span<const float> values_, scale_values_;
  std::vector<std::uint32_t> candidates_;
};

}  // namespace

// Over fixed lanes, which compilers turn into vectors.
float block_amax(const float* x, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  std::array<float, kLanes> largest{};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const auto at = static_cast<std::size_t>(lane);
      const float magnitude = std::abs(x[i + lane]);
      largest[at] = magnitude > largest[at] ? magnitude : largest[at];
    }
  for (; i < count; ++i) largest[0] = std::max(largest[0], std::abs(x[i]));
  return *std::ranges::max_element(largest);
}

bool scales_can_be_searched(const BlockFormat& format) { return format.scale != nullptr && format.scale->bits == 8; }

Tensor scales_of_least_error(const BlockFormat& format, const float* x, std::int64_t rows, std::int64_t cols,
                             float tensor_scale) {
  QAD_ASSERT(scales_can_be_searched(format));
  const std::int64_t block = format.block_size(cols), blocks = format.blocks_per_row(cols);
  Tensor scales({rows, blocks}, format.scale_dtype());
  const ScaleSearch search(format, tensor_scale);
  parallel_for(rows * blocks, 256, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scratch;
    for (std::int64_t i = begin; i < end; ++i)
      scales.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(search.best(x + i * block, block, scratch));
  });
  return scales;
}

Tensor scales_of_least_output_error(const BlockFormat& format, const float* w, std::int64_t rows, std::int64_t cols,
                                    float tensor_scale, const BlockMoments& moments) {
  QAD_ASSERT(scales_can_be_searched(format));
  const std::int64_t block = format.block_size(cols), blocks = format.blocks_per_row(cols), size = block * block;
  QAD_ASSERT(std::ssize(moments.second) == blocks * size);
  QAD_ASSERT(moments.coupling.empty() || std::ssize(moments.coupling) == blocks * size);
  Tensor scales({rows, blocks}, format.scale_dtype());
  const ScaleSearch search(format, tensor_scale);
  parallel_for(rows * blocks, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scratch;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i % blocks * size;
      const double* const coupling = moments.coupling.empty() ? nullptr : moments.coupling.data() + at;
      scales.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(
          search.best_for_output(w + i * block, block, moments.second.data() + at, coupling, scratch));
    }
  });
  return scales;
}

void divisors_of_row(const QuantizedTensor& tensor, std::int64_t row, float* out) {
  const BlockFormat& format = *tensor.format;
  const std::int64_t blocks = format.blocks_per_row(tensor.cols);
  if (format.scale == nullptr) std::fill_n(out, tensor.cols, tensor.tensor_scale);
  const auto bytes = static_cast<std::size_t>(format.scale != nullptr ? format.scale->bits / 8 : 0);
  for (std::int64_t i = 0; i < blocks; ++i) {
    std::uint32_t code = 0;  // little-endian, of 8, 16 or 32 bits
    std::memcpy(&code, tensor.scales.raw() + static_cast<std::size_t>(row * blocks + i) * bytes, bytes);
    const std::int64_t block = format.block_size(tensor.cols);
    std::fill_n(out + i * block, block, format.scale->value(code) * tensor.tensor_scale);
  }
}

}  // namespace qad
