#include "qad/formats/block_scales.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

float amax_of(const float* x, std::int64_t count) {
  float largest = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// Squared error of a block under a scale; gives up once it is not below `enough`.
double error_of(const ElementType& element, const float* values, const float* x, std::int64_t count, float scale,
                double enough) {
  double error = 0;
  for (std::int64_t i = 0; i < count && error < enough; ++i) {
    const double difference = static_cast<double>(x[i]) - values[element.encode(x[i] / scale)] * scale;
    error += difference * difference;
  }
  return error;
}

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

  [[nodiscard]] std::uint32_t best(const float* x, std::int64_t count) const {
    const float amax = amax_of(x, count);
    const std::uint32_t usual = block_scale(format_, amax, tensor_scale_).code;
    if (amax == 0.0f) return usual;
    std::uint32_t best = usual;
    double least = error_with(usual, x, count, std::numeric_limits<double>::infinity());
    const auto consider = [&](std::uint32_t code) {
      const double error = error_with(code, x, count, least);
      if (error < least) least = error, best = code;
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
  [[nodiscard]] double error_with(std::uint32_t code, const float* x, std::int64_t count, double enough) const {
    return error_of(*format_.element, values_.data(), x, count, scale_of(code), enough);
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

bool scales_can_be_searched(const BlockFormat& format) { return format.scale != nullptr && format.scale->bits == 8; }

Tensor scales_of_least_error(const BlockFormat& format, const float* x, std::int64_t rows, std::int64_t cols,
                             float tensor_scale) {
  QAD_ASSERT(scales_can_be_searched(format));
  const std::int64_t block = format.block_size(cols), blocks = format.blocks_per_row(cols);
  Tensor scales({rows, blocks}, format.scale_dtype());
  const ScaleSearch search(format, tensor_scale);
  parallel_for(rows * blocks, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      scales.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(search.best(x + i * block, block));
  });
  return scales;
}

}  // namespace qad
