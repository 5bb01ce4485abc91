// Rows of a table by id.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// out[t, :] = table[ids[t], :]; table FP32 [vocabulary, cols].
void embedding_forward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const float* table, float* out);
/// The same from a table of BF16 bits.
void embedding_forward_bf16(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const std::uint16_t* table,
                            float* out);
/// d_table[ids[t], :] += d_out[t, :], tokens in order for every row.
void embedding_backward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const float* d_out,
                        float* d_table);

}  // namespace qad::kernels
