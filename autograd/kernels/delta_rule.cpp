#include "autograd/kernels/delta_rule.h"

#include <algorithm>
#include <utility>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/delta_rule.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/blas.h"
#include "autograd/kernels/decayed_pairs.h"
#include "autograd/kernels/delta_chunk.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// y += factor·x
void add_to(std::int64_t size, float factor, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::MulAdd(at.load(x), set(factor), at.load(y)), y); });
}

float dot(std::int64_t size, const float* a, const float* b) {
  Vector sum = zero();
  each_vector(size, [&](auto at) HWY_ATTR { sum = hn::MulAdd(at.load(a), at.load(b), sum); });
  return sum_of_lanes(sum);
}

// The transpose, rows from the last: x_i <- x_i + Σ_{j>i} pairs_ji·minus_j, minus_i = -beta_i·x_i.
void solve_up(std::int64_t count, std::int64_t size, const float* pairs, std::int64_t stride, const float* beta,
              float* x, float* minus) {
  each_vector(size, [&](auto at) HWY_ATTR {
    Vector solved[kDeltaSolveRows];
    for (std::int64_t i = count - 1; i >= 0; --i) {
      Vector sum = at.load(x + i * size);
      for (std::int64_t j = i + 1; j < count; ++j) sum = hn::MulAdd(set(pairs[j * stride + i]), solved[j], sum);
      solved[i] = hn::Mul(set(-beta[i]), sum);
      at.store(sum, x + i * size);
      at.store(solved[i], minus + i * size);
    }
  });
}

// run += q∘dq + k∘(reads - writes) for a row: what the sums of decay up to this token get.
void add_decay_gradient(std::int64_t size, const float* q, const float* dq, const float* k, const float* reads,
                        const float* writes, float* run) {
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector of_k = hn::Mul(at.load(k), hn::Sub(at.load(reads), at.load(writes)));
    at.store(hn::Add(at.load(run), hn::MulAdd(at.load(q), at.load(dq), of_k)), run);
  });
}

// run += x∘y
void add_products(std::int64_t size, const float* x, const float* y, float* run) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::MulAdd(at.load(x), at.load(y), at.load(run)), run); });
}

float sum(std::int64_t size, const float* x) {
  Vector total = zero();
  each_vector(size, [&](auto at) HWY_ATTR { total = hn::Add(total, at.load(x)); });
  return sum_of_lanes(total);
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(add_to);
HWY_EXPORT(dot);
HWY_EXPORT(solve_up);
HWY_EXPORT(add_decay_gradient);
HWY_EXPORT(add_products);
HWY_EXPORT(sum);

namespace {

using Input = DeltaRuleTensors<const float>;

// Calls visit(first row, how many, which chunk of the segment).
template <class Visit>
void each_chunk(const DeltaRuleSegment& segment, Visit&& visit) {
  std::int64_t row = segment.begin, position = segment.cached;
  for (std::int64_t chunk = 0; row < segment.end; ++chunk) {
    const std::int64_t count = std::min(kDeltaChunk - position % kDeltaChunk, segment.end - row);
    visit(row, count, chunk);
    row += count;
    position += count;
  }
}

void forward_segment(const DeltaRuleExtents& e, const DeltaRuleSegment& segment, std::int64_t head, const Input& x,
                     const StridedRows<float>& out, float* starts) {
  thread_local Scratch<float> scratch;
  float* memory = scratch.get(DeltaChunk::room(e) + e.state_size());
  DeltaChunk chunk(e, memory + e.state_size());
  float* kept = segment.state != nullptr ? segment.state + head * e.state_size() : nullptr;
  const float* S = segment.cached > 0 ? kept : nullptr;
  const std::int64_t last = segment.chunks() - 1;
  each_chunk(segment, [&](std::int64_t first, std::int64_t count, std::int64_t index) {
    float* next = kept != nullptr ? kept : memory;
    if (starts != nullptr) next = starts + ((segment.first_start + index) * e.value_heads + head) * e.state_size();
    const bool ends = index == last && kept == nullptr;  // nobody reads the state behind it
    chunk.load_keys_and_queries(x, first, count, head / (e.value_heads / e.key_heads));
    chunk.load_decay_and_beta(x, first, head);
    if (count == 1 && S != nullptr) chunk.forward_token(x, first, head, S, ends ? memory : next, out);
    else chunk.forward(x, first, head, S, ends ? nullptr : next, out);
    S = next;
  });
}

// Backward of a value head's chunks from the last to the first.
class BackwardHead {
 public:
  static std::int64_t room(const DeltaRuleExtents& e) {
    constexpr std::int64_t C = kDeltaChunk;
    return C * (3 * e.key_dim + 3 * e.value_dim + 2 * C) + e.key_dim;
  }
  BackwardHead(const DeltaRuleExtents& e, const Input& x, const DeltaRuleTensors<float>& gradients, float* memory)
      : e_(e), x_(x), gradients_(gradients) {
    constexpr std::int64_t C = kDeltaChunk;
    const auto take = [&](std::int64_t size) { return std::exchange(memory, memory + size); };
    d_rows_ = take(2 * C * e.key_dim);
    d_writes_ = take(C * e.key_dim);
    d_read_ = take(2 * C * e.value_dim);
    dw_ = take(C * e.value_dim);
    d_pairs_ = take(2 * C * C);
    run_ = take(e.key_dim);
  }

  // dS: the gradient of the state at the chunk's end (not read but written where `last`), then at its start (not where
  // S is null: a sequence's start is nobody's). Adds the gradients of k^ and below them q^ to d_unit [2n, dk].
  void run(DeltaChunk& chunk, std::int64_t first, std::int64_t head, const float* S, bool last, const float* d_out,
           float* dS, float* d_unit) {
    const std::int64_t n = chunk.n, key_dim = e_.key_dim, value_dim = e_.value_dim;
    chunk.load_decay_and_beta(x_, first, head);
    chunk.correct(x_, first, head, S, false);
    float *minus = d_read_, *g = d_read_ + n * value_dim;  // gradients of what k^ (as -σ(beta)·X) and q^ read
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(d_out + ((first + i) * e_.value_heads + head) * value_dim, value_dim, g + i * value_dim);

    // dw = pairs(q, k)ᵀ·g + writes·dS, and X = (I + A)⁻ᵀ·dw
    tile_product(Transpose::yes, Transpose::no, n, value_dim, n, chunk.pairs + n * n, n, g, value_dim, 0.0f, dw_,
                 value_dim);
    if (!last)
      tile_product(Transpose::no, Transpose::no, n, value_dim, key_dim, chunk.writes, key_dim, dS, value_dim, 1.0f, dw_,
                   value_dim);
    solve(chunk, minus);
    give_values(chunk, first, head, minus);

    tile_product(Transpose::no, Transpose::yes, 2 * n, n, value_dim, d_read_, value_dim, chunk.w, value_dim, 0.0f,
                 d_pairs_, n);
    if (S == nullptr) std::fill_n(d_rows_, 2 * n * key_dim, 0.0f);
    else {
      tile_product(Transpose::no, Transpose::yes, 2 * n, key_dim, value_dim, d_read_, value_dim, S, value_dim, 0.0f,
                   d_rows_, key_dim);
      for (std::int64_t i = 0; i < n; ++i) {
        float *dk = d_rows_ + i * key_dim, *dq = dk + n * key_dim;
        times_decay(key_dim, chunk.width, dk, dq, chunk.L + i * chunk.width, nullptr, dk, dq);
      }
    }
    std::fill_n(run_, key_dim, 0.0f);
    if (last) std::fill_n(d_writes_, n * key_dim, 0.0f);
    else {
      tile_product(Transpose::no, Transpose::yes, n, key_dim, value_dim, chunk.w, value_dim, dS, value_dim, 0.0f,
                   d_writes_, key_dim);
      for (std::int64_t i = 0; i < n; ++i) {
        float* row = d_writes_ + i * key_dim;
        times_decay(key_dim, chunk.width, row, chunk.L_end(), chunk.L + i * chunk.width, row);
        HWY_DYNAMIC_DISPATCH(add_products)(key_dim, chunk.rows + i * key_dim, row, run_);
      }
      chunk.fade(dS, dS);
      if (S != nullptr)
        for (std::int64_t c = 0; c < key_dim; ++c)
          run_[c] += HWY_DYNAMIC_DISPATCH(dot)(value_dim, S + c * value_dim, dS + c * value_dim);
    }
    decayed_pairs_backward(chunk.decayed(), d_pairs_, d_rows_, d_writes_);
    give_decay(chunk, first, head);
    if (S != nullptr)
      tile_product(Transpose::yes, Transpose::no, key_dim, value_dim, 2 * n, chunk.reads, key_dim, d_read_, value_dim,
                   last ? 0.0f : 1.0f, dS, value_dim);
    HWY_DYNAMIC_DISPATCH(add_to)(2 * n * key_dim, 1.0f, d_rows_, d_unit);
    HWY_DYNAMIC_DISPATCH(add_to)(n * key_dim, 1.0f, d_writes_, d_unit);
  }

 private:
  void solve(const DeltaChunk& chunk, float* minus) {
    const std::int64_t n = chunk.n, value_dim = chunk.value_dim;
    for (std::int64_t block = (n - 1) / kDeltaSolveRows * kDeltaSolveRows; block >= 0; block -= kDeltaSolveRows) {
      const std::int64_t count = std::min(kDeltaSolveRows, n - block), below = block + count;
      if (below < n)
        tile_product(Transpose::yes, Transpose::no, count, value_dim, n - below, chunk.pairs + below * n + block, n,
                     minus + below * value_dim, value_dim, 1.0f, dw_ + block * value_dim, value_dim);
      HWY_DYNAMIC_DISPATCH(solve_up)
      (count, value_dim, chunk.pairs + block * n + block, n, chunk.beta + block, dw_ + block * value_dim,
       minus + block * value_dim);
    }
  }

  // dv = σ(beta)·X,  dσ(beta) = rowsum(X∘e)
  void give_values(const DeltaChunk& chunk, std::int64_t first, std::int64_t head, const float* minus) const {
    const std::int64_t value_dim = chunk.value_dim;
    for (std::int64_t i = 0; i < chunk.n; ++i) {
      if (gradients_.v.data != nullptr) HWY_DYNAMIC_DISPATCH(add_to)
      (value_dim, -1.0f, minus + i * value_dim, at(gradients_.v, first + i, head * value_dim));
      if (gradients_.beta.data != nullptr)
        *at(gradients_.beta, first + i, head) +=
            HWY_DYNAMIC_DISPATCH(dot)(value_dim, dw_ + i * value_dim, chunk.values + i * value_dim) * chunk.beta[i] *
            (1.0f - chunk.beta[i]);
    }
  }

  // A token's decay is in its own sum and in those of all tokens after it; run_ has what the last sum gets by itself.
  void give_decay(const DeltaChunk& chunk, std::int64_t first, std::int64_t head) const {
    if (gradients_.decay.data == nullptr) return;
    const std::int64_t n = chunk.n, key_dim = chunk.key_dim;
    for (std::int64_t i = n - 1; i >= 0; --i) {
      HWY_DYNAMIC_DISPATCH(add_decay_gradient)
      (key_dim, chunk.rows + (n + i) * key_dim, d_rows_ + (n + i) * key_dim, chunk.rows + i * key_dim,
       d_rows_ + i * key_dim, d_writes_ + i * key_dim, run_);
      float* d_decay = at(gradients_.decay, first + i, head * chunk.width);
      if (chunk.width == 1) *d_decay += HWY_DYNAMIC_DISPATCH(sum)(key_dim, run_);
      else HWY_DYNAMIC_DISPATCH(add_to)(key_dim, 1.0f, run_, d_decay);
    }
  }

  const DeltaRuleExtents& e_;
  const Input& x_;
  const DeltaRuleTensors<float>& gradients_;
  float *d_rows_, *d_writes_, *d_read_, *dw_, *d_pairs_, *run_;
};

// Value heads of a key head go one after the other, so that its gradient is a sum in a fixed order.
void backward_segment(const DeltaRuleExtents& e, const DeltaRuleSegment& segment, std::int64_t key_head, const Input& x,
                      const float* starts, const float* d_out, const DeltaRuleTensors<float>& gradients) {
  thread_local Scratch<float> scratch;
  const std::int64_t group = e.value_heads / e.key_heads, key_dim = e.key_dim;
  const std::int64_t chunk_room = DeltaChunk::room(e), unit_size = 2 * kDeltaChunk * key_dim;
  float* dS = scratch.get(group * e.state_size() + unit_size + chunk_room + BackwardHead::room(e));
  float* d_unit = dS + group * e.state_size();
  DeltaChunk chunk(e, d_unit + unit_size);
  BackwardHead backward(e, x, gradients, d_unit + unit_size + chunk_room);
  const std::int64_t chunks = segment.chunks();
  for (std::int64_t index = chunks - 1; index >= 0; --index) {
    const std::int64_t first = segment.begin + index * kDeltaChunk, n = std::min(kDeltaChunk, segment.end - first);
    chunk.load_keys_and_queries(x, first, n, key_head);
    std::fill_n(d_unit, 2 * n * key_dim, 0.0f);
    for (std::int64_t i = 0; i < group; ++i) {
      const std::int64_t head = key_head * group + i;
      const float* S =
          index > 0 ? starts + ((segment.first_start + index - 1) * e.value_heads + head) * e.state_size() : nullptr;
      backward.run(chunk, first, head, S, index == chunks - 1, d_out, dS + i * e.state_size(), d_unit);
    }
    chunk.give_keys_and_queries(x, first, key_head, d_unit, gradients);
  }
}

}  // namespace

std::int64_t count_starts(std::span<DeltaRuleSegment> segments) {
  std::int64_t count = 0;
  for (DeltaRuleSegment& segment : segments) {
    segment.first_start = count;
    count += std::max<std::int64_t>(0, segment.chunks() - 1);
  }
  return count;
}

void delta_rule_forward(const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x, float* out, float* starts) {
  QAD_ASSERT(e.value_heads % e.key_heads == 0);
  std::int64_t tokens = 0;
  for (const DeltaRuleSegment& segment : e.segments) {
    QAD_ASSERT(segment.cached == 0 || (segment.state != nullptr && starts == nullptr));
    tokens += segment.size();
  }
  const std::int64_t tasks = static_cast<std::int64_t>(e.segments.size()) * e.value_heads;
  if (tasks == 0) return;
  // When decoding, a task is small: several at a time. Chunks change no bits, since no task reads another's.
  const std::int64_t task_size = tokens * e.value_heads * e.state_size() / tasks + 1;
  const std::int64_t chunk = std::clamp<std::int64_t>((1 << 16) / task_size, 1, tasks);
  parallel_for(tasks, chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task)
      forward_segment(e, e.segments[static_cast<std::size_t>(task / e.value_heads)], task % e.value_heads, x,
                      {out, e.value_heads * e.value_dim}, starts);
  });
}

void delta_rule_backward(const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x, const float* starts,
                         const float* d_out, const DeltaRuleTensors<float>& gradients) {
  for (const DeltaRuleSegment& segment : e.segments) QAD_ASSERT(segment.cached == 0);
  parallel_for(static_cast<std::int64_t>(e.segments.size()) * e.key_heads, 1, [&](std::int64_t task, std::int64_t) {
    backward_segment(e, e.segments[static_cast<std::size_t>(task / e.key_heads)], task % e.key_heads, x, starts, d_out,
                     gradients);
  });
}

}  // namespace qad::kernels
#endif
