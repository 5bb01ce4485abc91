// One AdamW update (Loshchilov and Hutter, 2019) in one pass over memory.
#pragma once

#include <cstdint>

namespace qad::kernels {

struct AdamWUpdate {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float bias_correction1, bias_correction2;  ///< 1 - beta^t
  float gradient_scale;                      ///< clipping factor, multiplies the gradient first
};

/// With g = gradient·gradient_scale:  m = β1·m + (1-β1)·g,  v = β2·v + (1-β2)·g²,
/// w -= lr·(weight_decay·w + (m/bias1) / (sqrt(v/bias2) + ε)).  The order of torch.optim.AdamW.
void adamw(std::int64_t size, const AdamWUpdate& update, const float* gradient, float* weights, float* m, float* v);

/// What decides how moments are rounded: any key, and where in its parameter the first element stands, at a multiple of
/// kNoiseBlock. An element's bits depend on the key and its place alone.
struct MomentNoise {
  std::uint64_t key;
  std::int64_t first;
};
inline constexpr std::int64_t kNoiseBlock = 64;

/// The same update with moments in BF16: it goes on in FP32 from what they are, moves the weights by what they become,
/// and keeps that rounded to one of the two nearest BF16 numbers, up or down by chance, so that the mean of what is
/// kept is what was meant: with β2 near 1 most of what a step adds is less than half of a BF16 step. Nothing finite
/// becomes infinite.
void adamw_bf16(std::int64_t size, const AdamWUpdate& update, const MomentNoise& noise, const float* gradient,
                float* weights, std::uint16_t* m, std::uint16_t* v);

}  // namespace qad::kernels
