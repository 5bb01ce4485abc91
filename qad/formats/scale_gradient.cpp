#include "qad/formats/scale_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/formats/block_scales.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

// Loops over fixed lanes, which compilers turn into vectors without a change of any bit.
constexpr std::int64_t kLanes = 8;
using Lanes = std::array<float, kLanes>;

std::int64_t rows_per_chunk(std::int64_t cols) { return std::max<std::int64_t>(1, (1 << 14) / cols); }

// The amaxes that a scale follows: below, it is the smallest there is, and above, the largest.
struct Followed {
  float least, most;
  Followed(const BlockFormat& format, float tensor_scale)
      : least(std::max(format.scale->min_positive, kSmallestScale) * format.element->max * tensor_scale),
        most(format.saturation_limit(tensor_scale)) {}
  [[nodiscard]] bool has(float amax) const { return amax > 0.0f && amax >= least && amax <= most; }
};

// Σ term(i).
template <class Term>
float sum_of(std::int64_t count, Term&& term) {
  Lanes sums{};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[static_cast<std::size_t>(lane)] += term(i + lane);
  for (; i < count; ++i) sums[0] += term(i);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Σ d·t of a block; with `clip` sets d to 0 beyond the range.
float through_scale(float* d, const std::uint16_t* t, std::int64_t count, float limit, bool clip) {
  const float sum = sum_of(count, [&](std::int64_t i) { return d[i] * bf16_to_f32(t[i]); });
  if (clip)
    for (std::int64_t i = 0; i < count; ++i) d[i] = std::abs(bf16_to_f32(t[i])) < limit ? d[i] : 0.0f;
  return sum;
}

}  // namespace

ScaleResiduals scale_residuals(const float* x, const QuantizedTensor& codes) {
  const BlockFormat& format = *codes.format;
  QAD_ASSERT(format.scale != nullptr);
  const std::int64_t cols = codes.cols, block = format.block_size(cols), blocks = format.blocks_per_row(cols);
  const float largest = format.element->max;
  ScaleResiduals result{largest, Tensor({codes.rows, cols}, DType::bf16), Tensor({codes.rows, blocks})};
  const Followed followed(format, codes.tensor_scale);
  const Tensor scale_values = block_scale_values(codes);
  parallel_for(codes.rows, rows_per_chunk(cols), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> y(static_cast<std::size_t>(cols));
    for (std::int64_t row = begin; row < end; ++row) {
      dequantize_row(codes, row, y.data());
      for (std::int64_t b = 0; b < blocks; ++b) {
        const float* const from = x + row * cols + b * block;
        const float* const rounded = y.data() + b * block;
        std::uint16_t* const to = result.dy_df.data<std::uint16_t>() + row * cols + b * block;
        const float scale = scale_values.data()[row * blocks + b], limit = largest * scale;
        for (std::int64_t i = 0; i < block; ++i) {
          const float beyond = std::copysign(largest, from[i]), within = (rounded[i] - from[i]) / scale;
          to[i] = f32_to_bf16(std::abs(from[i]) > limit ? beyond : within);
        }
        const float amax = block_amax(from, block);
        float& peak = result.peaks.data()[row * blocks + b];
        peak = 0.0f;
        if (!followed.has(amax)) continue;
        const auto place = std::find_if(from, from + block, [&](float value) { return std::abs(value) == amax; });
        peak = std::copysign(static_cast<float>(place - from + 1), *place);
      }
    }
  });
  return result;
}

void pass_through_scale(const ScaleResiduals& residuals, const Tensor& gradient) {
  const std::int64_t cols = residuals.dy_df.cols(), blocks = residuals.peaks.cols(), block = cols / blocks;
  QAD_ASSERT(gradient.size() == residuals.dy_df.size());
  parallel_for(residuals.peaks.rows(), rows_per_chunk(cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * blocks; i < end * blocks; ++i) {
      float* const d = gradient.data() + i * block;
      const std::uint16_t* const t = residuals.dy_df.data<std::uint16_t>() + i * block;
      const float sum = through_scale(d, t, block, residuals.largest, true), peak = residuals.peaks.data()[i];
      if (peak == 0.0f) continue;
      d[static_cast<std::int64_t>(std::abs(peak)) - 1] += std::copysign(1.0f, peak) / residuals.largest * sum;
    }
  });
}

Tensor through_scales(const ScaleResiduals& residuals, const Tensor& gradient, bool clip) {
  const std::int64_t cols = residuals.dy_df.cols(), blocks = residuals.peaks.cols(), block = cols / blocks;
  QAD_ASSERT(gradient.size() == residuals.dy_df.size());
  Tensor sums(residuals.peaks.shape());
  parallel_for(sums.rows(), rows_per_chunk(cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * blocks; i < end * blocks; ++i)
      sums.data()[i] = through_scale(gradient.data() + i * block, residuals.dy_df.data<std::uint16_t>() + i * block,
                                     block, residuals.largest, clip);
  });
  return sums;
}

Tensor sums_of_codes(const QuantizedTensor& codes, const Tensor& d) {
  const std::int64_t cols = codes.cols, blocks = codes.scales.cols(), block = cols / blocks;
  QAD_ASSERT(d.size() == codes.rows * cols);
  const Tensor scales = block_scale_values(codes);
  Tensor sums(scales.shape());
  parallel_for(codes.rows, rows_per_chunk(cols), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> y(static_cast<std::size_t>(cols));
    for (std::int64_t row = begin; row < end; ++row) {
      dequantize_row(codes, row, y.data());
      for (std::int64_t b = 0; b < blocks; ++b) {
        const float* const values = y.data() + b * block;
        const float* const of = d.data() + row * cols + b * block;
        const float sum = sum_of(block, [&](std::int64_t i) { return of[i] * values[i]; });
        sums.data()[row * blocks + b] = sum / scales.data()[row * blocks + b];
      }
    }
  });
  return sums;
}

Tensor block_scale_values(const QuantizedTensor& codes) {
  const ElementType& type = *codes.format->scale;
  const auto bytes = static_cast<std::int64_t>(type.bits / 8);
  Tensor values(codes.scales.shape());
  parallel_for(values.size(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::uint32_t code = 0;
      std::memcpy(&code, codes.scales.raw() + i * bytes, static_cast<std::size_t>(bytes));
      values.data()[i] = type.value(code) * codes.tensor_scale;
    }
  });
  return values;
}

}  // namespace qad
