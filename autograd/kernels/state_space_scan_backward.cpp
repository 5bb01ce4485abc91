// The scan's way back, chunk by chunk from the end. Beside the states at the chunks' starts everything is computed
// again, and no product serves the decays alone: their gradients are sums over what other gradients need.
#include <algorithm>
#include <cmath>

#include "autograd/kernels/simd_targets.h"
#include "autograd/kernels/state_space_scan.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/state_space_scan_backward.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/state_space_scan-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// Of a head, by token: what pairs of tokens give to dl, what the read from the chunk's first state and the write to its
// last one give to dL, and dΔ but for what comes by l.
struct HeadGradients {
  float *by_pairs, *by_read, *by_write, *step;
};

struct BackwardRoom {
  BackwardRoom(const ScanShape& shape, const TaskView& view, Room& room)
      : d_state(room.take(shape.state * view.columns)),
        b(room.take(shape.chunk * shape.state)),
        c(room.take(shape.chunk * shape.state)),
        u(room.take(shape.chunk * view.columns)),
        du(room.take(shape.chunk * view.columns)),
        dy(room.take(shape.chunk * view.columns)),
        read(room.take(shape.chunk * view.columns)),
        written(room.take(shape.chunk * view.columns)),
        cb(room.take(shape.chunk * padded(shape.chunk))),
        pairs(room.take(shape.chunk * padded(shape.chunk))),
        d_pairs(room.take(shape.chunk * padded(shape.chunk))),
        d_cb(room.take(shape.chunk * padded(shape.chunk))),
        row_sums(reinterpret_cast<double*>(room.take(2 * padded(shape.chunk)))),
        column_sums(reinterpret_cast<double*>(room.take(2 * padded(shape.chunk)))) {
    for (std::int64_t head = 0; head < view.columns / shape.head_dim; ++head) {
      steps[head] = take_steps(room, shape.chunk);
      HeadGradients& d = gradients[head];
      for (float** piece : {&d.by_pairs, &d.by_read, &d.by_write, &d.step}) *piece = room.take(padded(shape.chunk));
    }
  }
  float *d_state, *b, *c, *u, *du, *dy;
  float *read, *written;  // C·S and B·dS
  float *cb, *pairs, *d_pairs, *d_cb;
  double *row_sums, *column_sums;
  HeadSteps steps[kMostScanHeads];
  HeadGradients gradients[kMostScanHeads];
};

struct HeadSums {
  double A_log = 0, D = 0, dt_bias = 0;
};

// With W = cb∘e^(L_i - L_j) and d_pairs = dW on entry:  pairs <- W,  d_cb += dW∘e^(L_i - L_j) (= in the first head),
// dl_t = Σ dW_ij·W_ij over j < t ≤ i, as a sum of row sums minus column sums from t on. In double, since pairs behind t
// cancel in it, and what were left of them would be multiplied by all decays before.
void scale_pairs_backward(std::int64_t tokens, const HeadSteps& steps, bool first_head, BackwardRoom& room, float* dl) {
  const std::int64_t stride = padded(tokens);
  const float* cb = room.cb;
  float *pairs = room.pairs, *d_pairs = room.d_pairs, *d_cb = room.d_cb;
  std::fill_n(room.column_sums, tokens, 0.0);
  for (std::int64_t i = 0; i < tokens; ++i, cb += stride, d_pairs += stride, pairs += stride, d_cb += stride) {
    const Vector high = set(steps.high[i]), low = set(steps.low[i]);
    DoubleSum row_sum;
    std::int64_t j = 0;
    for (; j <= i; j += kLanes) {
      const WholeVector at{j};
      const Vector d = decay(high, low, at.load(steps.high), at.load(steps.low));
      const auto seen = hn::FirstN(Floats(), static_cast<std::size_t>(i + 1 - j));
      const auto before = hn::FirstN(Floats(), static_cast<std::size_t>(i - j));
      const Vector pair = hn::IfThenElseZero(seen, hn::Mul(at.load(cb), d));
      const Vector d_pair = hn::IfThenElseZero(seen, at.load(d_pairs));
      const Vector of_cb = hn::IfThenElseZero(seen, hn::Mul(d_pair, d));
      const Vector product = hn::IfThenElseZero(before, hn::Mul(d_pair, pair));
      at.store(pair, pairs);
      at.store(first_head ? of_cb : hn::Add(at.load(d_cb), of_cb), d_cb);
      at.store(product, d_pairs);
      row_sum.add(product);
    }
    if (j < tokens) {
      std::fill(pairs + j, pairs + tokens, 0.0f);
      if (first_head) std::fill(d_cb + j, d_cb + tokens, 0.0f);
    }
    room.row_sums[i] = row_sum.total();
    for (std::int64_t k = 0; k < i; ++k) room.column_sums[k] += static_cast<double>(d_pairs[k]);
  }
  double sum = 0;
  for (std::int64_t i = tokens - 1; i >= 0; --i) {
    sum += room.row_sums[i] - room.column_sums[i];
    dl[i] = static_cast<float>(sum);
  }
}

// One token of one head, after the products: dx, and sums for its step and its decays. `dy` becomes e^L∘dy and `u`
// e^(L at the end - L)∘u, for the products that follow. Returns Σ dy·x.
struct TokenPointers {
  const float *x, *read, *written;
  float *u, *du, *dy, *dx;
};
HWY_INLINE float finish_token(std::int64_t size, const TokenPointers& t, float skip, bool has_state, bool has_d_state,
                              const HeadSteps& steps, std::int64_t i, const HeadGradients& d) {
  const Vector step = set(steps.step[i]), head = set(steps.head[i]), tail = set(steps.tail[i]), D = set(skip);
  Vector reads = zero(), writes = zero(), products = zero(), of_step = zero();
  each_vector(size, [&](auto at) HWY_ATTR {
    const Vector x = at.load(t.x), dy = at.load(t.dy);
    Vector du = at.load(t.du);
    products = hn::MulAdd(dy, x, products);
    if (has_d_state) {
      const Vector u = at.load(t.u), written = hn::Mul(at.load(t.written), tail);
      writes = hn::MulAdd(written, u, writes);
      du = hn::Add(du, written);
      at.store(hn::Mul(u, tail), t.u);
    }
    if (has_state) {
      const Vector scaled = hn::Mul(dy, head);
      reads = hn::MulAdd(scaled, at.load(t.read), reads);
      at.store(scaled, t.dy);
    }
    of_step = hn::MulAdd(du, x, of_step);
    at.store(hn::MulAdd(du, step, hn::Mul(D, dy)), t.dx);
  });
  d.by_read[i] = sum_of_lanes(reads);
  d.by_write[i] = sum_of_lanes(writes);
  d.step[i] = sum_of_lanes(of_step);
  return sum_of_lanes(products);
}

// Where the gradients of B and C of a task's group go.
struct GroupGradient {
  float *dB, *dC;
  std::int64_t stride;
};

// With g = dY, M = (g·Uᵀ)∘D:  dU = ((C·Bᵀ)∘D)ᵀ·g + e^(L at the end - L)∘(B·dS),
// dC = Σ over heads M·B + (e^L∘g)·Sᵀ,  dB = Σ over heads Mᵀ·C + (e^(L at the end - L)∘U)·dSᵀ,
// dS <- e^(L at the end)·dS + Cᵀ·(e^L∘g). `S` is null where it is zero, `has_d_state`: dS isn't.
void backward_chunk(const ScanShape& shape, const ScanInput& input, const ScanTask& task, const TaskView& view,
                    std::int64_t row, std::int64_t tokens, const float* S, bool has_d_state, BackwardRoom& room,
                    const float* dy, const ScanGradients& out, const GroupGradient& of_group, HeadSums* sums) {
  const std::int64_t N = shape.state, P = shape.head_dim, columns = view.columns, width = shape.width();
  const std::int64_t square = padded(tokens);
  const float* xBC = input.xBC + row * width;
  constexpr auto no = Transpose::no, yes = Transpose::yes;
  copy_rows_of(tokens, N, xBC + view.b, width, room.b);
  copy_rows_of(tokens, N, xBC + view.c, width, room.c);
  copy_rows_of(tokens, columns, dy + row * shape.heads * P + view.x, shape.heads * P, room.dy);
  tile_product(no, yes, tokens, tokens, N, room.c, N, room.b, N, 0.0f, room.cb, square);
  if (S != nullptr) tile_product(no, no, tokens, columns, N, room.c, N, S, columns, 0.0f, room.read, columns);
  if (has_d_state)
    tile_product(no, no, tokens, columns, N, room.b, N, room.d_state, columns, 0.0f, room.written, columns);
  for (std::int64_t head = 0; head < task.heads; ++head) {
    HeadSteps& steps = room.steps[head];
    float *u = room.u + head * P, *g = room.dy + head * P;
    find_steps(shape, input, task.first_head + head, row, tokens, steps);
    for (std::int64_t i = 0; i < tokens; ++i)
      multiply(P, steps.step[i], xBC + i * width + view.x + head * P, u + i * columns);
    tile_product(no, yes, tokens, tokens, P, g, columns, u, columns, 0.0f, room.d_pairs, square);
    scale_pairs_backward(tokens, steps, head == 0, room, room.gradients[head].by_pairs);
    tile_product(yes, no, tokens, P, tokens, room.pairs, square, g, columns, 0.0f, room.du + head * P, columns);
    const float skip = input.D[task.first_head + head];
    for (std::int64_t i = 0; i < tokens; ++i) {
      const std::int64_t at = i * columns + head * P, x_at = i * width + view.x + head * P;
      const TokenPointers pointers{xBC + x_at,
                                   room.read + at,
                                   room.written + at,
                                   room.u + at,
                                   room.du + at,
                                   room.dy + at,
                                   out.dxBC + row * width + x_at};
      sums[head].D += static_cast<double>(
          finish_token(P, pointers, skip, S != nullptr, has_d_state, steps, i, room.gradients[head]));
    }
  }

  tile_product(no, no, tokens, N, tokens, room.d_cb, square, room.b, N, 0.0f, of_group.dC, of_group.stride);
  tile_product(yes, no, tokens, N, tokens, room.d_cb, square, room.c, N, 0.0f, of_group.dB, of_group.stride);
  if (S != nullptr)
    tile_product(no, yes, tokens, N, columns, room.dy, columns, S, columns, 1.0f, of_group.dC, of_group.stride);
  if (has_d_state)
    tile_product(no, yes, tokens, N, columns, room.u, columns, room.d_state, columns, 1.0f, of_group.dB,
                 of_group.stride);
  if (S != nullptr && has_d_state)
    for (std::int64_t head = 0; head < task.heads; ++head) {
      const float end = room.steps[head].head[tokens - 1];
      Vector products = zero();
      for (std::int64_t n = 0; n < N; ++n) {
        const float* s = S + n * columns + head * P;
        float* ds = room.d_state + n * columns + head * P;
        each_vector(P, [&](auto at) HWY_ATTR {
          const Vector scaled = hn::Mul(at.load(ds), set(end));
          products = hn::MulAdd(scaled, at.load(s), products);
          at.store(scaled, ds);
        });
      }
      room.gradients[head].by_read[tokens - 1] += sum_of_lanes(products);
    }
  if (S != nullptr)
    tile_product(yes, no, N, columns, tokens, room.c, N, room.dy, columns, has_d_state ? 1.0f : 0.0f, room.d_state,
                 columns);
}

// A decay serves the reads from its token on, the writes before it and the pairs around it. Its gradient goes to Δ and
// A_log, and Δ's to dt and its bias.
void finish_steps(const ScanShape& shape, std::int64_t head, std::int64_t row, std::int64_t tokens,
                  const HeadSteps& steps, const HeadGradients& d, float* d_dt, HeadSums* sums) {
  const double rate = steps.rate;
  double written = 0, read = 0;
  for (std::int64_t i = 0; i < tokens; ++i) written += static_cast<double>(d.by_write[i]);
  for (std::int64_t i = tokens - 1; i >= 0; --i) {
    read += static_cast<double>(d.by_read[i]);
    written -= static_cast<double>(d.by_write[i]);
    const double dl = read + written + static_cast<double>(d.by_pairs[i]);
    sums->A_log -= dl * rate * static_cast<double>(steps.step[i]);
    const double before = (static_cast<double>(d.step[i]) - dl * rate) * static_cast<double>(steps.slope[i]);
    if (d_dt != nullptr) d_dt[(row + i) * shape.dt_stride + head] += static_cast<float>(before);
    sums->dt_bias += before;
  }
}

// All of a task; `sums` [heads] of its heads. Without memory: how much it wants.
std::int64_t scan_backward_task(const ScanShape& shape, const ScanInput& input, const ScanTask& task, float* memory,
                                const float* starts, const float* dy, const ScanGradients& out, std::int64_t rows,
                                double* sums) {
  const TaskView view(shape, task);
  Room pieces(memory);
  BackwardRoom room(shape, view, pieces);
  if (memory == nullptr) return pieces.taken();
  const std::int64_t N = shape.state, P = shape.head_dim, width = shape.width();
  HeadSums of_heads[kMostScanHeads];
  const bool alone = scan_blocks(shape) == 1;
  const std::int64_t stride = alone ? width : 2 * shape.groups * N;
  float* const base = alone ? out.dxBC + shape.heads * P : out.partial + task.block * rows * stride;
  const std::int64_t chunks = view.sequence.size() == 0 ? 0 : view.chunks();
  for (std::int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
    const std::int64_t row = view.row(chunk), tokens = view.tokens(chunk);
    const float* S =
        chunk == 0 ? nullptr : starts + (task.first_start + chunk - 1) * shape.state_size() + task.first_head * N * P;
    float* const at = base + row * stride + task.group * N;
    backward_chunk(shape, input, task, view, row, tokens, S, chunk + 1 < chunks, room, dy, out,
                   {at, at + shape.groups * N, stride}, of_heads);
    for (std::int64_t head = 0; head < task.heads; ++head)
      finish_steps(shape, task.first_head + head, row, tokens, room.steps[head], room.gradients[head], out.d_dt,
                   &of_heads[head]);
  }
  for (std::int64_t head = 0; head < task.heads; ++head) {
    sums[3 * head] = of_heads[head].A_log;
    sums[3 * head + 1] = of_heads[head].D;
    sums[3 * head + 2] = of_heads[head].dt_bias;
  }
  return 0;
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(scan_backward_task);

void state_space_scan_backward(const ScanShape& shape, const ScanInput& input, const float* starts, const float* dy,
                               const ScanGradients& gradients) {
  thread_local Scratch<double> kept_sums;
  const std::vector<ScanTask> tasks = scan_tasks(shape);
  const auto sequences = static_cast<std::int64_t>(shape.sequences.size());
  double* sums = kept_sums.get(sequences * shape.heads * 3);
  std::int64_t rows = 0;
  for (const SequenceRows& sequence : shape.sequences) rows = std::max(rows, sequence.end);
  parallel_for(static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t index, std::int64_t) {
    thread_local Scratch<float> scratch;
    const ScanTask& task = tasks[static_cast<std::size_t>(index)];
    double* of_task = sums + (task.sequence * shape.heads + task.first_head) * 3;
    const std::int64_t wanted =
        HWY_DYNAMIC_DISPATCH(scan_backward_task)(shape, input, task, nullptr, starts, dy, gradients, rows, of_task);
    HWY_DYNAMIC_DISPATCH(scan_backward_task)
    (shape, input, task, scratch.get(wanted), starts, dy, gradients, rows, of_task);
  });

  // Of all sequences in their order.
  float* const of_parameters[] = {gradients.dA_log, gradients.dD, gradients.d_dt_bias};
  for (std::int64_t head = 0; head < shape.heads; ++head)
    for (std::int64_t i = 0; i < 3; ++i) {
      double sum = 0;
      for (std::int64_t sequence = 0; sequence < sequences; ++sequence)
        sum += sums[(sequence * shape.heads + head) * 3 + i];
      if (of_parameters[i] != nullptr) of_parameters[i][head] += static_cast<float>(sum);
    }

  const std::int64_t blocks = scan_blocks(shape), columns = 2 * shape.groups * shape.state;
  if (blocks == 1) return;
  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* to = gradients.dxBC + row * shape.width() + shape.heads * shape.head_dim;
      std::copy_n(gradients.partial + row * columns, columns, to);
      for (std::int64_t block = 1; block < blocks; ++block) {
        const float* from = gradients.partial + (block * rows + row) * columns;
        for (std::int64_t i = 0; i < columns; ++i) to[i] += from[i];
      }
    }
  });
}

}  // namespace qad::kernels
#endif
