// What both directions of the scan share, compiled once for each instruction set.
#if defined(QAD_AUTOGRAD_KERNELS_STATE_SPACE_SCAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_AUTOGRAD_KERNELS_STATE_SPACE_SCAN_INL_H_
#undef QAD_AUTOGRAD_KERNELS_STATE_SPACE_SCAN_INL_H_
#else
#define QAD_AUTOGRAD_KERNELS_STATE_SPACE_SCAN_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "autograd/kernels/blas.h"
#include "autograd/kernels/simd-inl.h"
#include "autograd/kernels/state_space_scan.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// Rows of square matrices are this far apart, so that whole vectors may be read and written in them.
HWY_INLINE std::int64_t padded(std::int64_t size) { return (size + 15) / 16 * 16; }

// Memory of a task, handed out in pieces that begin at cache lines.
class Room {
 public:
  explicit Room(float* memory) : memory_(memory) {}
  float* take(std::int64_t size) {
    float* piece = memory_ != nullptr ? memory_ + taken_ : nullptr;
    taken_ += padded(size);
    return piece;
  }
  // Without any memory this is how much is wanted.
  [[nodiscard]] std::int64_t taken() const { return taken_; }

 private:
  float* memory_;
  std::int64_t taken_ = 0;
};

// What a head does with the tokens of a chunk. The decay from the chunk's start to token i is e^(high + low): one float
// alone would lose what small steps after large ones are.
struct HeadSteps {
  float rate;           // exp(A_log)
  float *step, *slope;  // Δ and dΔ/d dt
  float *high, *low;    // L = Σ l, as a sum of two floats
  float *head, *tail;   // e^L, e^(L at the end - L)
};

HWY_INLINE HeadSteps take_steps(Room& room, std::int64_t chunk) {
  HeadSteps steps{};
  for (float** piece : {&steps.step, &steps.slope, &steps.high, &steps.low, &steps.head, &steps.tail})
    *piece = room.take(padded(chunk));
  return steps;
}

// e^l for l ≤ 0. What 60 nats leave (1e-26) is taken as nothing: further down products would be denormal, which CPUs
// take a hundred times as long for.
HWY_INLINE Vector decay(Vector l) { return hn::IfThenElse(hn::Lt(l, set(-60.0f)), zero(), exp(l)); }

// e^(L_i - L_j), L_i ≤ L_j. Highs are close where this isn't 0, so their difference is exact.
HWY_INLINE Vector decay(Vector high_i, Vector low_i, Vector high_j, Vector low_j) {
  return decay(hn::Add(hn::Sub(high_i, high_j), hn::Sub(low_i, low_j)));
}

// Whole vectors everywhere: what lies behind the last token is not used.
HWY_INLINE void find_steps(const ScanShape& shape, const ScanInput& input, std::int64_t head, std::int64_t row,
                           std::int64_t tokens, HeadSteps& steps) {
  for (std::int64_t i = 0; i < tokens; ++i) steps.step[i] = input.dt[(row + i) * shape.dt_stride + head];
  std::fill(steps.step + tokens, steps.step + padded(tokens), 0.0f);
  const Vector low = set(shape.step_low), high = set(shape.step_high), one = set(1.0f), linear = set(20.0f);
  for (std::int64_t i = 0; i < tokens; i += kLanes) {
    const WholeVector at{i};
    const Vector v = hn::Add(at.load(steps.step), set(input.dt_bias[head]));
    const Vector e = exp(hn::Min(v, linear));
    const auto curved = hn::Le(v, linear);  // not so where v is no number: that goes on as it is
    const Vector soft = hn::IfThenElse(curved, hn::Log1p(Floats(), e), v);
    const auto below = hn::Lt(soft, low), above = hn::Gt(soft, high);
    at.store(hn::IfThenElse(below, low, hn::IfThenElse(above, high, soft)), steps.step);
    const Vector slope = hn::IfThenElse(curved, hn::Div(e, hn::Add(one, e)), hn::IfThenElse(hn::IsNaN(v), v, one));
    at.store(hn::IfThenElse(hn::Or(below, above), zero(), slope), steps.slope);
  }
  steps.rate = std::exp(input.A_log[head]);
  double sum = 0;
  for (std::int64_t i = 0; i < tokens; ++i) {
    sum -= static_cast<double>(steps.rate) * static_cast<double>(steps.step[i]);
    steps.high[i] = static_cast<float>(sum);
    steps.low[i] = static_cast<float>(sum - static_cast<double>(steps.high[i]));
  }
  std::fill(steps.high + tokens, steps.high + padded(tokens), steps.high[tokens - 1]);
  std::fill(steps.low + tokens, steps.low + padded(tokens), steps.low[tokens - 1]);
  const Vector end_high = set(steps.high[tokens - 1]), end_low = set(steps.low[tokens - 1]);
  for (std::int64_t i = 0; i < tokens; i += kLanes) {
    const WholeVector at{i};
    at.store(decay(hn::Add(at.load(steps.high), at.load(steps.low))), steps.head);
    at.store(decay(end_high, end_low, at.load(steps.high), at.load(steps.low)), steps.tail);
  }
}

// y = factor·x;  y may be x.
HWY_INLINE void multiply(std::int64_t size, float factor, const float* x, float* y) {
  each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Mul(at.load(x), set(factor)), y); });
}

HWY_INLINE void copy_rows_of(std::int64_t rows, std::int64_t cols, const float* x, std::int64_t stride, float* y) {
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(x + i * stride, cols, y + i * cols);
}

// Where a task's rows of x, B and C begin, and the chunks that its sequence falls into.
struct TaskView {
  TaskView(const ScanShape& shape, const ScanTask& task)
      : sequence(shape.sequences[static_cast<std::size_t>(task.sequence)]),
        x(task.first_head * shape.head_dim),
        b(shape.heads * shape.head_dim + task.group * shape.state),
        c(b + shape.groups * shape.state),
        columns(task.heads * shape.head_dim),
        first(std::min(sequence.size(), shape.chunk - sequence.cached % shape.chunk)),
        chunk(shape.chunk) {}

  [[nodiscard]] std::int64_t chunks() const { return 1 + (sequence.size() - first + chunk - 1) / chunk; }
  [[nodiscard]] std::int64_t row(std::int64_t index) const {
    return sequence.begin + (index == 0 ? 0 : first + (index - 1) * chunk);
  }
  [[nodiscard]] std::int64_t tokens(std::int64_t index) const {
    return index == 0 ? first : std::min(chunk, sequence.end - row(index));
  }

  SequenceRows sequence;
  std::int64_t x, b, c;  // columns of xBC
  std::int64_t columns;  // of x, for all heads of the task
  std::int64_t first, chunk;
};

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
