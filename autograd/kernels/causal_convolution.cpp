#include "autograd/kernels/causal_convolution.h"

#include <algorithm>
#include <vector>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/causal_convolution.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// bias + Σ_j weight[j]·row j, in the order of the taps; weights [taps, channels].
template <class At>
HWY_INLINE Vector sum_of_taps(const TapRows& rows, const float* weights, const float* bias, At at) {
  Vector z = bias != nullptr ? at.load(bias) : zero();
  std::int64_t tap = 0;
  if (rows.before != nullptr)
    for (; tap < rows.first_in_x; ++tap)
      z = hn::MulAdd(at.load(weights + tap * rows.channels), at.load(rows.before + tap * rows.channels), z);
  for (tap = rows.first_in_x; tap < rows.taps; ++tap)
    z = hn::MulAdd(at.load(weights + tap * rows.channels), at.load(rows.x_of(tap)), z);
  return z;
}

void convolve_row(const TapRows& rows, const float* weights, const float* bias, float* y) {
  each_vector(rows.channels, [&](auto at) HWY_ATTR {
    const Vector z = sum_of_taps(rows, weights, bias, at);
    at.store(hn::Mul(z, sigmoid(z)), y);
  });
}

// dz = dy·silu'(z); d_weights [taps, channels] and d_bias, if not null, accumulate.
void convolve_row_backward(const TapRows& rows, const float* weights, const float* bias, const float* dy, float* dz,
                           float* d_weights, float* d_bias) {
  each_vector(rows.channels, [&](auto at) HWY_ATTR {
    const Vector z = sum_of_taps(rows, weights, bias, at);
    const Vector s = sigmoid(z);
    const Vector d = hn::Mul(at.load(dy), hn::MulAdd(hn::Mul(z, s), hn::Sub(set(1.0f), s), s));
    at.store(d, dz);
    if (d_weights != nullptr)
      for (std::int64_t tap = rows.first_in_x; tap < rows.taps; ++tap) {
        float* sums = d_weights + tap * rows.channels;
        at.store(hn::MulAdd(d, at.load(rows.x_of(tap)), at.load(sums)), sums);
      }
    if (d_bias != nullptr) at.store(hn::Add(at.load(d_bias), d), d_bias);
  });
}

// dx += Σ_k weight[taps - 1 - k]·dz[k rows further], for `readers` rows that read this one.
void gather_row(std::int64_t channels, std::int64_t taps, std::int64_t readers, const float* weights, const float* dz,
                float* dx) {
  each_vector(channels, [&](auto at) HWY_ATTR {
    Vector sum = zero();
    for (std::int64_t k = 0; k < readers; ++k)
      sum = hn::MulAdd(at.load(weights + (taps - 1 - k) * channels), at.load(dz + k * channels), sum);
    at.store(hn::Add(at.load(dx), sum), dx);
  });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(convolve_row);
HWY_EXPORT(convolve_row_backward);
HWY_EXPORT(gather_row);

namespace {

// Some rows of one sequence: a task.
struct RowTile {
  const SequenceRows* sequence;
  std::int64_t begin, end;
};

std::vector<RowTile> tiles_of(const ConvolutionShape& shape, std::int64_t most) {
  std::vector<RowTile> tiles;
  for (const SequenceRows& sequence : shape.sequences)
    for (std::int64_t begin = sequence.begin; begin < sequence.end; begin += most)
      tiles.push_back({&sequence, begin, std::min(begin + most, sequence.end)});
  return tiles;
}

template <class Body>
void each_tile(const std::vector<RowTile>& tiles, const Body& body) {
  parallel_for(static_cast<std::int64_t>(tiles.size()), 1,
               [&](std::int64_t task, std::int64_t) { body(task, tiles[static_cast<std::size_t>(task)]); });
}

// [channels, taps] -> [taps, channels], so that neighbouring channels' weights lie side by side. This thread's memory.
const float* by_tap(const ConvolutionShape& shape, const float* weight) {
  thread_local Scratch<float> scratch;
  float* weights = scratch.get(shape.channels * shape.taps);
  parallel_for(shape.channels, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t channel = begin; channel < end; ++channel)
      for (std::int64_t tap = 0; tap < shape.taps; ++tap)
        weights[tap * shape.channels + channel] = weight[channel * shape.taps + tap];
  });
  return weights;
}

TapRows rows_of_result(const ConvolutionShape& shape, const SequenceRows& sequence, const float* x, std::int64_t row) {
  const std::int64_t done = row - sequence.begin;
  const bool reads_before = sequence.cached > 0 && done < shape.taps - 1;
  return {reads_before ? sequence.state + done * shape.channels : nullptr,
          x + row * shape.x_stride,
          shape.x_stride,
          shape.channels,
          shape.taps,
          std::max<std::int64_t>(0, shape.taps - 1 - done)};
}

// The last taps - 1 rows that the sequence has now, with zeros in place of what is before it.
void remember(const ConvolutionShape& shape, const SequenceRows& sequence, const float* x) {
  for (std::int64_t i = 0; i < shape.taps - 1; ++i) {
    float* to = sequence.state + i * shape.channels;
    const std::int64_t row = sequence.end - (shape.taps - 1) + i;
    if (row >= sequence.begin) std::copy_n(x + row * shape.x_stride, shape.channels, to);
    else if (sequence.cached > 0) std::copy_n(to + sequence.size() * shape.channels, shape.channels, to);
    else std::fill_n(to, shape.channels, 0.0f);
  }
}

}  // namespace

void causal_convolution_forward(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                                float* y) {
  const float* weights = by_tap(shape, weight);
  each_tile(tiles_of(shape, 16), [&](std::int64_t, const RowTile& tile) {
    for (std::int64_t row = tile.begin; row < tile.end; ++row) HWY_DYNAMIC_DISPATCH(convolve_row)
    (rows_of_result(shape, *tile.sequence, x, row), weights, bias, y + row * shape.channels);
  });
  parallel_for(static_cast<std::int64_t>(shape.sequences.size()), 1, [&](std::int64_t index, std::int64_t) {
    const SequenceRows& sequence = shape.sequences[static_cast<std::size_t>(index)];
    if (sequence.state != nullptr) remember(shape, sequence, x);
  });
}

void causal_convolution_backward(const ConvolutionShape& shape, const float* x, const float* weight, const float* bias,
                                 const float* dy, float* dz, float* dx, float* d_weight, float* d_bias) {
  if (loops_are_dry()) return;
  thread_local Scratch<float> scratch;
  const std::int64_t channels = shape.channels, taps = shape.taps, sums = (taps + 1) * channels;
  const float* weights = by_tap(shape, weight);
  const std::vector<RowTile> tiles = tiles_of(shape, 64);
  const bool sums_needed = d_weight != nullptr || d_bias != nullptr;
  float* partial = sums_needed ? scratch.get(static_cast<std::int64_t>(tiles.size()) * sums) : nullptr;
  each_tile(tiles, [&](std::int64_t task, const RowTile& tile) {
    float* d_weights = sums_needed ? partial + task * sums : nullptr;
    if (sums_needed) std::fill_n(d_weights, sums, 0.0f);
    for (std::int64_t row = tile.begin; row < tile.end; ++row) HWY_DYNAMIC_DISPATCH(convolve_row_backward)
    (rows_of_result(shape, *tile.sequence, x, row), weights, bias, dy + row * channels, dz + row * channels, d_weights,
     sums_needed ? d_weights + taps * channels : nullptr);
  });
  if (dx != nullptr)
    each_tile(tiles, [&](std::int64_t, const RowTile& tile) {
      for (std::int64_t row = tile.begin; row < tile.end; ++row) HWY_DYNAMIC_DISPATCH(gather_row)
      (channels, taps, std::min(taps, tile.sequence->end - row), weights, dz + row * channels,
       dx + row * shape.x_stride);
    });
  if (!sums_needed) return;
  parallel_for(channels, 512, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t task = 0; task < tiles.size(); ++task) {
      const float* of_tile = partial + static_cast<std::int64_t>(task) * sums;
      for (std::int64_t tap = 0; tap < taps && d_weight != nullptr; ++tap)
        for (std::int64_t channel = begin; channel < end; ++channel)
          d_weight[channel * taps + tap] += of_tile[tap * channels + channel];
      for (std::int64_t channel = begin; channel < end && d_bias != nullptr; ++channel)
        d_bias[channel] += of_tile[taps * channels + channel];
    }
  });
}

}  // namespace qad::kernels
#endif
