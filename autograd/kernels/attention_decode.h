// Attention of a single query over a cache, as decoding needs it once for each sequence, layer and token.
#pragma once

#include <cstdint>

namespace qad::kernels {

struct DecodeExtents {
  std::int64_t keys, kv_heads;
  std::int64_t group;  ///< query heads that share a key/value head
  std::int64_t dim;

  [[nodiscard]] std::int64_t heads() const { return kv_heads * group; }
  [[nodiscard]] std::int64_t stride() const { return kv_heads * dim; }
};

/// q, out [heads, dim]; k, v [keys, kv_heads·dim]; log_sum_exp [heads]. On the calling thread alone.
void decode_attention(const DecodeExtents& e, float scale, const float* q, const float* k, const float* v, float* out,
                      float* log_sum_exp);

}  // namespace qad::kernels
