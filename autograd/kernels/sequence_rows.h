// Which rows of a batch belong to one sequence, and where what goes on from it is remembered, as kernels see it.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// Rows [begin, end). `cached` tokens of the sequence went before; then `state` holds what they left. Where it is not
/// null it is brought up to date.
struct SequenceRows {
  std::int64_t begin, end;
  std::int64_t cached = 0;
  float* state = nullptr;

  [[nodiscard]] std::int64_t size() const { return end - begin; }
};

}  // namespace qad::kernels
