#include "autograd/kernels/embedding.h"

#include <algorithm>
#include <functional>

#include "autograd/base/parallel.h"
#include "autograd/core/dtype.h"

namespace qad::kernels {
namespace {

template <class Element, class Convert>
void gather(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const Element* table, float* out,
            Convert convert) {
  if (cols == 0) return;
  parallel_for(tokens, std::max<std::int64_t>(1, (1 << 14) / cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      const Element* row = table + ids[token] * cols;
      std::transform(row, row + cols, out + token * cols, convert);
    }
  });
}

}  // namespace

void embedding_forward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const float* table,
                       float* out) {
  gather(tokens, cols, ids, table, out, [](float value) { return value; });
}

void embedding_forward_bf16(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const std::uint16_t* table,
                            float* out) {
  gather(tokens, cols, ids, table, out, [](std::uint16_t bits) { return bf16_to_f32(bits); });
}

void embedding_backward(std::int64_t tokens, std::int64_t cols, const std::int32_t* ids, const float* d_out,
                        float* d_table) {
  // The rows of the table are shared out, not the tokens: two tokens may name the same row.
  constexpr std::int64_t kParts = 16;
  const bool small = tokens * cols < (1 << 15);  // not worth waking other threads
  parallel_for(kParts, small ? kParts : 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = 0; token < tokens; ++token) {
      const std::int64_t id = ids[token];
      if (id % kParts < begin || id % kParts >= end) continue;
      const float* source = d_out + token * cols;
      std::transform(source, source + cols, d_table + id * cols, d_table + id * cols, std::plus<>());
    }
  });
}

}  // namespace qad::kernels
