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

}  // namespace qad::kernels
