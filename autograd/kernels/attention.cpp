#include "autograd/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/attention.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/attention_decode.h"
#include "autograd/kernels/blas.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// s <- e^(s - max), not yet divided by their sum, which is returned; `max` comes back too.
float exp_row(std::int64_t size, float* s, float* max) {
  *max = max_element(size, s);
  const Vector largest = set(*max);
  Vector sum = zero();
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector e = exp(hn::Sub(at.load(s), largest));
    sum = hn::Add(sum, at.only_valid(e));
    at.store(e, s);
  });
  return sum_of_lanes(sum);
}

// With p = e^(s - log_sum_exp):  s <- p,  d_p <- p·(d_p - Σ p·d_p), the gradient of s. The sum equals that of
// d_out·out over a head's dimensions, from which others take it; so the output need not be kept.
void softmax_backward_row(std::int64_t size, float log_sum_exp, float* s, float* d_p) {
  Vector sum = zero();
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector p = exp(hn::Sub(at.load(s), set(log_sum_exp)));
    sum = hn::Add(sum, at.only_valid(hn::Mul(p, at.load(d_p))));
    at.store(p, s);
  });
  const Vector delta = set(sum_of_lanes(sum));
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(s), hn::Sub(at.load(d_p), delta)), d_p); });
}

void scaled_copy(std::int64_t size, float factor, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), set(factor)), y); });
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(exp_row);
HWY_EXPORT(softmax_backward_row);
HWY_EXPORT(scaled_copy);

namespace {

struct KeyRange {
  std::int64_t first, last;
  [[nodiscard]] std::int64_t size() const { return last - first; }
};

// Some consecutive queries of one segment and the keys that at least one of them sees. A tile's matrices have a row
// for each query and each query head of one key/value head, heads innermost.
struct QueryTile {
  const AttentionSegment* segment;
  std::int64_t first, count;
  KeyRange keys;
};

class Layout {
 public:
  explicit Layout(const AttentionShape& shape)
      : shape_(shape),
        group_(shape.heads / shape.kv_heads),
        q_stride_(shape.heads * shape.head_dim),
        kv_stride_(shape.kv_heads * shape.head_dim) {
    QAD_ASSERT(shape.heads % shape.kv_heads == 0);
    for (const AttentionSegment& segment : shape.segments)
      QAD_ASSERT(segment.q_end - segment.q_begin <= segment.k_end - segment.k_begin);
  }

  // Query heads that share a key/value head.
  [[nodiscard]] std::int64_t group() const { return group_; }
  [[nodiscard]] std::int64_t dim() const { return shape_.head_dim; }
  [[nodiscard]] std::int64_t kv_stride() const { return kv_stride_; }
  // Where the first head of a group starts in q and out, and a head in k and v.
  [[nodiscard]] std::int64_t q_offset(std::int64_t query, std::int64_t kv_head) const {
    return query * q_stride_ + kv_head * group_ * shape_.head_dim;
  }
  [[nodiscard]] std::int64_t kv_offset(std::int64_t key, std::int64_t kv_head) const {
    return key * kv_stride_ + kv_head * shape_.head_dim;
  }
  [[nodiscard]] std::int64_t sum_offset(std::int64_t query, std::int64_t kv_head) const {
    return query * shape_.heads + kv_head * group_;
  }

  [[nodiscard]] KeyRange visible(const AttentionSegment& segment, std::int64_t query) const {
    const std::int64_t last = segment.k_end - (segment.q_end - 1 - query);
    return {shape_.window > 0 ? std::max(segment.k_begin, last - shape_.window) : segment.k_begin, last};
  }

  // Cuts a segment so that a tile's scores stay in the second-level cache.
  template <class Visit>
  void each_tile(const AttentionSegment& segment, Visit&& visit) const {
    constexpr std::int64_t kMostScores = 1 << 18;
    const std::int64_t keys = visible(segment, segment.q_end - 1).size();
    const std::int64_t most =
        shape_.one_by_one ? 1 : std::clamp<std::int64_t>(kMostScores / std::max<std::int64_t>(1, keys * group_), 8, 64);
    for (std::int64_t first = segment.q_begin; first < segment.q_end; first += most) {
      const std::int64_t count = std::min(most, segment.q_end - first);
      visit(
          QueryTile{&segment, first, count, {visible(segment, first).first, visible(segment, first + count - 1).last}});
    }
  }

  // Rows of a group's heads out of x [queries, heads·head_dim], times a factor.
  void gather(const QueryTile& tile, std::int64_t kv_head, float factor, const float* x, float* rows) const {
    for (std::int64_t i = 0; i < tile.count; ++i) HWY_DYNAMIC_DISPATCH(scaled_copy)
    (group_ * dim(), factor, x + q_offset(tile.first + i, kv_head), rows + i * group_ * dim());
  }

  // Calls visit(row of the tile, columns that its query sees) after zeroing the row's other columns.
  template <class Visit>
  void each_row(const QueryTile& tile, float* scores, Visit&& visit) const {
    const std::int64_t width = tile.keys.size();
    for (std::int64_t i = 0; i < tile.count; ++i) {
      const KeyRange seen = visible(*tile.segment, tile.first + i);
      const KeyRange columns{seen.first - tile.keys.first, seen.last - tile.keys.first};
      for (std::int64_t row = i * group_; row < (i + 1) * group_; ++row) {
        std::fill_n(scores + row * width, columns.first, 0.0f);
        std::fill(scores + row * width + columns.last, scores + (row + 1) * width, 0.0f);
        visit(row, columns);
      }
    }
  }

 private:
  const AttentionShape& shape_;
  std::int64_t group_, q_stride_, kv_stride_;
};

// A single query after a cache: products of one row, for which BLAS takes longer to begin than to do.
bool decodes(const QueryTile& tile, bool one_by_one) {
  if (one_by_one) return true;
  const AttentionSegment& segment = *tile.segment;
  return segment.q_end - segment.q_begin == 1 && segment.k_end - segment.k_begin > 1;
}

void forward_tile(const Layout& layout, const QueryTile& tile, std::int64_t kv_head, float scale, const float* q,
                  const float* k, const float* v, float* out, float* log_sum_exp) {
  thread_local Scratch<float> row_scratch, score_scratch;
  const std::int64_t dim = layout.dim(), width = tile.keys.size(), rows = tile.count * layout.group();
  const std::int64_t kv_offset = layout.kv_offset(tile.keys.first, kv_head);
  float* rows_qd = row_scratch.get(rows * dim + rows);  // queries, then outputs; the sums behind them
  float* sums = rows_qd + rows * dim;
  float* scores = score_scratch.get(rows * width);

  layout.gather(tile, kv_head, scale, q, rows_qd);
  tile_product(Transpose::no, Transpose::yes, rows, width, dim, rows_qd, dim, k + kv_offset, layout.kv_stride(), 0.0f,
               scores, width);
  layout.each_row(tile, scores, [&](std::int64_t row, KeyRange columns) {
    float max = 0.0f;
    sums[row] = HWY_DYNAMIC_DISPATCH(exp_row)(columns.size(), scores + row * width + columns.first, &max);
    const std::int64_t query = tile.first + row / layout.group();
    log_sum_exp[layout.sum_offset(query, kv_head) + row % layout.group()] = max + std::log(sums[row]);
  });
  tile_product(Transpose::no, Transpose::no, rows, dim, width, scores, width, v + kv_offset, layout.kv_stride(), 0.0f,
               rows_qd, dim);
  for (std::int64_t row = 0; row < rows; ++row) HWY_DYNAMIC_DISPATCH(scaled_copy)
  (dim, 1.0f / sums[row], rows_qd + row * dim,
   out + layout.q_offset(tile.first + row / layout.group(), kv_head) + row % layout.group() * dim);
}

struct Backward {
  const float *q, *k, *v, *log_sum_exp, *d_out;
  float *dq, *dk, *dv;
};

// With P = softmax(S), S = scale·q·kᵀ:  dV = Pᵀ·dO,  dP = dO·Vᵀ,  dS = P∘(dP - rowsum(P∘dP)),  dq = scale·dS·k,
// dk = scale·dSᵀ·q.
void backward_tile(const Layout& layout, const QueryTile& tile, std::int64_t kv_head, float scale, const Backward& x) {
  thread_local Scratch<float> row_scratch, score_scratch;
  const std::int64_t dim = layout.dim(), width = tile.keys.size(), rows = tile.count * layout.group();
  const std::int64_t kv_offset = layout.kv_offset(tile.keys.first, kv_head), kv_stride = layout.kv_stride();
  float* q = row_scratch.get(3 * rows * dim);  // scaled
  float* d_out = q + rows * dim;
  float* dq = d_out + rows * dim;
  float* p = score_scratch.get(2 * rows * width);
  float* ds = p + rows * width;

  layout.gather(tile, kv_head, scale, x.q, q);
  layout.gather(tile, kv_head, 1.0f, x.d_out, d_out);
  tile_product(Transpose::no, Transpose::yes, rows, width, dim, q, dim, x.k + kv_offset, kv_stride, 0.0f, p, width);
  tile_product(Transpose::no, Transpose::yes, rows, width, dim, d_out, dim, x.v + kv_offset, kv_stride, 0.0f, ds,
               width);
  layout.each_row(tile, ds, [](std::int64_t, KeyRange) {});
  layout.each_row(tile, p, [&](std::int64_t row, KeyRange columns) {
    const std::int64_t query = tile.first + row / layout.group();
    const std::int64_t first = row * width + columns.first;
    HWY_DYNAMIC_DISPATCH(softmax_backward_row)
    (columns.size(), x.log_sum_exp[layout.sum_offset(query, kv_head) + row % layout.group()], p + first, ds + first);
  });
  tile_product(Transpose::yes, Transpose::no, width, dim, rows, p, width, d_out, dim, 1.0f, x.dv + kv_offset,
               kv_stride);
  tile_product(Transpose::yes, Transpose::no, width, dim, rows, ds, width, q, dim, 1.0f, x.dk + kv_offset, kv_stride);
  tile_product(Transpose::no, Transpose::no, rows, dim, width, ds, width, x.k + kv_offset, kv_stride, 0.0f, dq, dim);
  for (std::int64_t i = 0; i < tile.count; ++i) HWY_DYNAMIC_DISPATCH(scaled_copy)
  (layout.group() * dim, scale, dq + i * layout.group() * dim, x.dq + layout.q_offset(tile.first + i, kv_head));
}

}  // namespace

void attention_forward(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out,
                       float* log_sum_exp) {
  const Layout layout(shape);
  thread_local std::vector<QueryTile> kept_tiles;
  std::vector<QueryTile>& tiles = kept_tiles;  // this thread's, seen from all
  tiles.clear();
  std::int64_t scores = 0;
  for (const AttentionSegment& segment : shape.segments)
    layout.each_tile(segment, [&](const QueryTile& tile) {
      tiles.push_back(tile);
      scores += tile.count * tile.keys.size();
    });
  const auto tasks = static_cast<std::int64_t>(tiles.size()) * shape.kv_heads;
  if (tasks == 0) return;
  const bool small = scores * shape.heads * shape.head_dim < (1 << 18);  // not worth waking other threads
  // When decoding, a task is small: several at a time. Chunks change no bits here, since no task reads another's.
  const std::int64_t task_size = scores * shape.heads * shape.head_dim / tasks + 1;
  const std::int64_t chunk = small ? tasks : std::clamp<std::int64_t>((1 << 16) / task_size, 1, tasks);
  parallel_for(tasks, chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const QueryTile& tile = tiles[static_cast<std::size_t>(task / shape.kv_heads)];
      const std::int64_t kv_head = task % shape.kv_heads;
      if (!decodes(tile, shape.one_by_one)) forward_tile(layout, tile, kv_head, shape.scale, q, k, v, out, log_sum_exp);
      else if (kv_head == 0)  // its task for all heads
        decode_attention({tile.keys.size(), shape.kv_heads, layout.group(), shape.head_dim}, shape.scale,
                         q + layout.q_offset(tile.first, 0), k + layout.kv_offset(tile.keys.first, 0),
                         v + layout.kv_offset(tile.keys.first, 0), out + layout.q_offset(tile.first, 0),
                         log_sum_exp + layout.sum_offset(tile.first, 0));
    }
  });
}

void attention_backward(const AttentionShape& shape, const float* q, const float* k, const float* v,
                        const float* log_sum_exp, const float* d_out, float* dq, float* dk, float* dv) {
  const Layout layout(shape);
  const Backward tensors{q, k, v, log_sum_exp, d_out, dq, dk, dv};
  // dk and dv of a segment and head are sums over its tiles: one task, in order.
  parallel_for(
      static_cast<std::int64_t>(shape.segments.size()) * shape.kv_heads, 1, [&](std::int64_t task, std::int64_t) {
        const AttentionSegment& segment = shape.segments[static_cast<std::size_t>(task / shape.kv_heads)];
        const std::int64_t kv_head = task % shape.kv_heads;
        for (std::int64_t key = segment.k_begin; key < segment.k_end; ++key) {
          std::fill_n(dk + layout.kv_offset(key, kv_head), shape.head_dim, 0.0f);
          std::fill_n(dv + layout.kv_offset(key, kv_head), shape.head_dim, 0.0f);
        }
        layout.each_tile(segment,
                         [&](const QueryTile& tile) { backward_tile(layout, tile, kv_head, shape.scale, tensors); });
      });
}

}  // namespace qad::kernels
#endif
