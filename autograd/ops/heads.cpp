#include "autograd/ops/heads.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad {
namespace {

constexpr std::int64_t kTokensPerChunk = 16;

// Calls visit(token, head) for all of them, on all threads.
template <class Visit>
void for_each_head(std::int64_t tokens, std::int64_t heads, Visit&& visit) {
  parallel_for(tokens, kTokensPerChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      for (std::int64_t h = 0; h < heads; ++h) visit(t, h);
  });
}

}  // namespace

Variable head_part(const Variable& x, std::int64_t heads, std::int64_t begin, std::int64_t end, std::int64_t width) {
  const std::int64_t tokens = x.shape().rows(), all = x.shape().cols(), d = all / heads, size = end - begin;
  QAD_ASSERT(d * heads == all && 0 <= begin && begin <= end && end <= d && size <= width);
  Tensor y({tokens, heads * width});
  for_each_head(tokens, heads, [&](std::int64_t t, std::int64_t h) {
    float* const to = y.data() + (t * heads + h) * width;
    std::copy_n(x.value().data() + (t * heads + h) * d + begin, size, to);
    std::fill(to + size, to + width, 0.0f);
  });
  return record("head part", std::move(y), {x}, [=, sink = x.sink()](const Tensor& dy) {
    const auto [dx, fresh] = sink->buffer({tokens, all});
    if (fresh) dx.fill(0.0f);
    for_each_head(tokens, heads, [&, dx = dx](std::int64_t t, std::int64_t h) {
      const float* const from = dy.data() + (t * heads + h) * width;
      float* const to = dx.data() + (t * heads + h) * d + begin;
      for (std::int64_t i = 0; i < size; ++i) to[i] += from[i];
    });
  });
}

Variable share_head_part(Variable x, const Variable& part, std::int64_t heads, std::int64_t begin) {
  const std::int64_t tokens = x.shape().rows(), d = x.shape().cols() / heads, size = part.shape().cols();
  QAD_ASSERT(part.shape().rows() == tokens && begin + size <= d);
  Tensor y = x.value().reusable();
  if (y.data() != x.value().data()) y.copy_from(x.value());
  for_each_head(tokens, heads, [&](std::int64_t t, std::int64_t h) {
    std::copy_n(part.value().data() + t * size, size, y.data() + (t * heads + h) * d + begin);
  });
  return record("share head part", std::move(y), {x, part},
                [=, x_sink = x.sink(), part_sink = part.sink()](const Tensor& dy) {
                  if (part_sink != nullptr) {
                    const auto [d_part, fresh] = part_sink->buffer({tokens, size});
                    if (fresh) d_part.fill(0.0f);
                    for_each_head(tokens, heads, [&, d_part = d_part](std::int64_t t, std::int64_t h) {
                      const float* const from = dy.data() + (t * heads + h) * d + begin;
                      for (std::int64_t i = 0; i < size; ++i) d_part.data()[t * size + i] += from[i];
                    });
                  }
                  if (x_sink != nullptr) x_sink->share(dy);
                });
}

Variable rope_of_neighbours(Variable x, std::int64_t heads, std::int64_t tail,
                            const std::shared_ptr<const std::vector<std::int32_t>>& positions,
                            const RotaryTable& table) {
  const std::int64_t tokens = x.shape().rows(), d = x.shape().cols() / heads, half = tail / 2;
  QAD_ASSERT(static_cast<std::int64_t>(positions->size()) == tokens && tail <= d && tail % 2 == 0);
  QAD_ASSERT(table.cosines.cols() == half);
  const auto rotate = [=](float direction, const Tensor& from, const Tensor& to) {
    if (to.data() != from.data()) to.copy_from(from);
    for_each_head(tokens, heads, [&](std::int64_t t, std::int64_t h) {
      float* const v = to.data() + (t * heads + h) * d + d - tail;
      const std::int64_t row = (*positions)[static_cast<std::size_t>(t)] * half;
      for (std::int64_t i = 0; i < half; ++i) {
        const float cosine = table.cosines.data()[row + i], sine = direction * table.sines.data()[row + i];
        const float a = v[2 * i], b = v[2 * i + 1];
        v[2 * i] = a * cosine - b * sine;
        v[2 * i + 1] = b * cosine + a * sine;
      }
    });
  };
  Tensor out = x.value().reusable();
  rotate(1.0f, x.value(), out);
  return record("rope of neighbours", std::move(out), {x}, [sink = x.sink(), rotate](const Tensor& d_out) {
    Tensor dx = d_out.reusable();
    rotate(-1.0f, d_out, dx);
    sink->give(std::move(dx));
  });
}

}  // namespace qad
