#include "autograd/kernels/rows.h"

#include <algorithm>
#include <cstring>

#include "autograd/base/parallel.h"

namespace qad::kernels {

void copy_rows(std::int64_t rows, std::size_t row_bytes, const std::byte* from, const std::int64_t* from_rows,
               std::byte* to, const std::int64_t* to_rows) {
  constexpr std::size_t kChunkBytes = 1 << 16;
  const auto chunk =
      static_cast<std::int64_t>(std::max<std::size_t>(1, kChunkBytes / std::max<std::size_t>(1, row_bytes)));
  const auto place = [row_bytes](const std::int64_t* indices, std::int64_t i) {
    return static_cast<std::size_t>(indices != nullptr ? indices[i] : i) * row_bytes;
  };
  parallel_for(rows, chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      std::memcpy(to + place(to_rows, i), from + place(from_rows, i), row_bytes);
  });
}

}  // namespace qad::kernels
