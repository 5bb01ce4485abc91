// Rows of a table by id, the definition.
#pragma once

#include <cstdint>

namespace qad::reference {

/// out[t, :] = table[ids[t], :]
template <class T>
void embedding_forward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const T* table, T* out) {
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t c = 0; c < cols; ++c) out[t * cols + c] = table[ids[t] * cols + c];
}

/// d_table[ids[t], :] += d_out[t, :]
template <class T>
void embedding_backward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const T* d_out, T* d_table) {
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t c = 0; c < cols; ++c) d_table[ids[t] * cols + c] += d_out[t * cols + c];
}

}  // namespace qad::reference
