#include "autograd/kernels/state_space_scan.h"

#include <algorithm>

#include "autograd/kernels/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/state_space_scan.cpp"
#include <hwy/foreach_target.h>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/scratch.h"
#include "autograd/kernels/state_space_scan-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

// out[i, j] = cb[i, j]·e^(L_i - L_j) for j ≤ i, else 0; rows are padded(tokens) apart.
void scale_pairs(std::int64_t tokens, const HeadSteps& steps, const float* cb, float* out) {
  const std::int64_t stride = padded(tokens);
  for (std::int64_t i = 0; i < tokens; ++i, cb += stride, out += stride) {
    const Vector high = set(steps.high[i]), low = set(steps.low[i]);
    std::int64_t j = 0;
    for (; j <= i; j += kLanes) {
      const WholeVector at{j};
      const Vector d = decay(high, low, at.load(steps.high), at.load(steps.low));
      const auto seen = hn::FirstN(Floats(), static_cast<std::size_t>(i + 1 - j));
      at.store(hn::IfThenElseZero(seen, hn::Mul(at.load(cb), d)), out);
    }
    if (j < tokens) std::fill(out + j, out + tokens, 0.0f);
  }
}

// One token of one head as the recurrence is written; rows of S are `stride` apart. Each y is a sum in order of n.
template <int kVectors, class At>
HWY_INLINE void step_columns(const ScanShape& shape, float decay_now, const float* B, const float* C, const float* u,
                             float* S, std::int64_t stride, float* y, At at) {
  Vector sums[kVectors], us[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    sums[v] = zero();
    us[v] = at.load(u + v * kLanes);
  }
  const Vector factor = set(decay_now);
  for (std::int64_t n = 0; n < shape.state; ++n, S += stride) {
    const Vector b = set(B[n]), c = set(C[n]);
    for (int v = 0; v < kVectors; ++v) {
      const Vector s = hn::MulAdd(b, us[v], hn::Mul(at.load(S + v * kLanes), factor));
      at.store(s, S + v * kLanes);
      sums[v] = hn::MulAdd(c, s, sums[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) at.store(sums[v], y + v * kLanes);
}

void step_token(const ScanShape& shape, float decay_now, float step, float skip, const float* x, const float* B,
                const float* C, float* S, std::int64_t stride, float* u, float* y) {
  multiply(shape.head_dim, step, x, u);
  std::int64_t p = 0;
  for (; p + 4 * kLanes <= shape.head_dim; p += 4 * kLanes)
    step_columns<4>(shape, decay_now, B, C, u, S, stride, y, WholeVector{p});
  for (; p + kLanes <= shape.head_dim; p += kLanes)
    step_columns<1>(shape, decay_now, B, C, u, S, stride, y, WholeVector{p});
  if (p < shape.head_dim) step_columns<1>(shape, decay_now, B, C, u, S, stride, y, PartVector{p, shape.head_dim - p});
  each_vector(shape.head_dim, [&](auto at) HWY_ATTR { at.store(hn::MulAdd(set(skip), at.load(x), at.load(y)), y); });
}

struct ForwardRoom {
  ForwardRoom(const ScanShape& shape, const TaskView& view, Room& room)
      : state(room.take(shape.state * view.columns)),
        b(room.take(shape.chunk * shape.state)),
        c(room.take(shape.chunk * shape.state)),
        u(room.take(shape.chunk * view.columns)),
        y(room.take(shape.chunk * view.columns)),
        cb(room.take(shape.chunk * padded(shape.chunk))),
        pairs(room.take(shape.chunk * padded(shape.chunk))) {
    for (std::int64_t head = 0; head < view.columns / shape.head_dim; ++head)
      steps[head] = take_steps(room, shape.chunk);
  }
  float *state, *b, *c, *u, *y, *cb, *pairs;
  HeadSteps steps[kMostScanHeads];
};

// Y = ((C·Bᵀ)∘D)·U + e^L∘(C·S) + D∘X,  S <- e^(L at the end)·S + (e^(L at the end - L)∘B)ᵀ·U; `has_state`: S is not
// zero, `goes_on`: it will be read.
void forward_chunk(const ScanShape& shape, const ScanInput& input, const ScanTask& task, const TaskView& view,
                   std::int64_t row, std::int64_t tokens, bool has_state, bool goes_on, ForwardRoom& room, float* y) {
  const std::int64_t N = shape.state, P = shape.head_dim, columns = view.columns, width = shape.width();
  const std::int64_t square = padded(tokens);
  const float* xBC = input.xBC + row * width;
  copy_rows_of(tokens, N, xBC + view.b, width, room.b);
  copy_rows_of(tokens, N, xBC + view.c, width, room.c);
  tile_product(Transpose::no, Transpose::yes, tokens, tokens, N, room.c, N, room.b, N, 0.0f, room.cb, square);
  if (has_state)
    tile_product(Transpose::no, Transpose::no, tokens, columns, N, room.c, N, room.state, columns, 0.0f, room.y,
                 columns);
  for (std::int64_t head = 0; head < task.heads; ++head) {
    HeadSteps& steps = room.steps[head];
    find_steps(shape, input, task.first_head + head, row, tokens, steps);
    for (std::int64_t i = 0; i < tokens; ++i) {
      const std::int64_t at = i * columns + head * P;
      multiply(P, steps.step[i], xBC + i * width + view.x + head * P, room.u + at);
      if (has_state) multiply(P, steps.head[i], room.y + at, room.y + at);
    }
    scale_pairs(tokens, steps, room.cb, room.pairs);
    tile_product(Transpose::no, Transpose::no, tokens, P, tokens, room.pairs, square, room.u + head * P, columns,
                 has_state ? 1.0f : 0.0f, room.y + head * P, columns);
    const Vector skip = set(input.D[task.first_head + head]);
    for (std::int64_t i = 0; i < tokens; ++i) {
      const float* from = room.y + i * columns + head * P;
      const float* x = xBC + i * width + view.x + head * P;
      float* to = y + (row + i) * shape.heads * P + view.x + head * P;
      each_vector(P, [&](auto at) HWY_ATTR { at.store(hn::MulAdd(skip, at.load(x), at.load(from)), to); });
    }
    if (!goes_on) continue;
    for (std::int64_t i = 0; i < tokens; ++i) {
      float* u = room.u + i * columns + head * P;
      multiply(P, steps.tail[i], u, u);
    }
    for (std::int64_t n = 0; n < N && has_state; ++n) {
      float* s = room.state + n * columns + head * P;
      multiply(P, steps.head[tokens - 1], s, s);
    }
  }
  if (goes_on)
    tile_product(Transpose::yes, Transpose::no, N, columns, tokens, room.b, N, room.u, columns, has_state ? 1.0f : 0.0f,
                 room.state, columns);
}

// All of a task. Without memory: how much it wants.
std::int64_t scan_forward_task(const ScanShape& shape, const ScanInput& input, const ScanTask& task, float* memory,
                               float* y, float* starts) {
  const TaskView view(shape, task);
  Room pieces(memory);
  ForwardRoom room(shape, view, pieces);
  if (memory == nullptr) return pieces.taken();
  const std::int64_t N = shape.state, P = shape.head_dim;
  const SequenceRows& sequence = view.sequence;
  if (sequence.size() == 0) return 0;
  float* kept = sequence.state != nullptr ? sequence.state + task.first_head * N * P : nullptr;
  // Where each token goes by itself, S is changed in its place.
  const bool in_place = kept != nullptr && (sequence.size() == 1 || shape.chunk == 1);
  float* state = in_place ? kept : room.state;
  const std::int64_t row_stride = in_place ? P : view.columns, head_stride = in_place ? N * P : P;
  bool has_state = sequence.cached > 0;
  for (std::int64_t head = 0; head < task.heads && has_state && !in_place; ++head)
    for (std::int64_t n = 0; n < N; ++n) std::copy_n(kept + (head * N + n) * P, P, state + n * view.columns + head * P);

  const std::int64_t chunks = view.chunks();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t row = view.row(chunk), tokens = view.tokens(chunk);
    if (starts != nullptr && chunk > 0)
      std::copy_n(state, N * view.columns,
                  starts + (task.first_start + chunk - 1) * shape.state_size() + task.first_head * N * P);
    if (tokens > 1) {
      forward_chunk(shape, input, task, view, row, tokens, has_state, kept != nullptr || chunk + 1 < chunks, room, y);
    } else {
      if (!has_state) std::fill_n(state, N * view.columns, 0.0f);
      const float* xBC = input.xBC + row * shape.width();
      for (std::int64_t head = 0; head < task.heads; ++head) {
        HeadSteps& steps = room.steps[head];
        find_steps(shape, input, task.first_head + head, row, 1, steps);
        step_token(shape, steps.head[0], steps.step[0], input.D[task.first_head + head], xBC + view.x + head * P,
                   xBC + view.b, xBC + view.c, state + head * head_stride, row_stride, room.u,
                   y + row * shape.heads * P + view.x + head * P);
      }
    }
    has_state = true;
  }
  for (std::int64_t head = 0; head < task.heads && kept != nullptr && !in_place; ++head)
    for (std::int64_t n = 0; n < N; ++n) std::copy_n(state + n * view.columns + head * P, P, kept + (head * N + n) * P);
  return 0;
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::kernels {

HWY_EXPORT(scan_forward_task);

namespace {

// Of a group, for one task: as wide as products need to be for speed, and no wider than caches are.
std::int64_t heads_together(const ScanShape& shape) {
  const std::int64_t heads = shape.heads / shape.groups;
  std::int64_t together = std::clamp<std::int64_t>(512 / shape.head_dim, 1, std::min(heads, kMostScanHeads));
  while (heads % together != 0) --together;
  return together;
}

std::int64_t starts_of(const ScanShape& shape, const SequenceRows& sequence) {
  return std::max<std::int64_t>(0, (sequence.size() - 1) / shape.chunk);
}

}  // namespace

std::int64_t scan_blocks(const ScanShape& shape) { return shape.heads / shape.groups / heads_together(shape); }

std::int64_t scan_starts(const ScanShape& shape) {
  std::int64_t starts = 0;
  for (const SequenceRows& sequence : shape.sequences) starts += starts_of(shape, sequence);
  return starts;
}

std::vector<ScanTask> scan_tasks(const ScanShape& shape) {
  QAD_ASSERT(shape.heads % shape.groups == 0);
  const std::int64_t together = heads_together(shape), blocks = scan_blocks(shape);
  std::vector<ScanTask> tasks;
  std::int64_t first_start = 0;
  for (std::int64_t sequence = 0; sequence < static_cast<std::int64_t>(shape.sequences.size()); ++sequence) {
    for (std::int64_t group = 0; group < shape.groups; ++group)
      for (std::int64_t block = 0; block < blocks; ++block)
        tasks.push_back({sequence, group, block, (group * blocks + block) * together, together, first_start});
    first_start += starts_of(shape, shape.sequences[static_cast<std::size_t>(sequence)]);
  }
  return tasks;
}

void state_space_scan_forward(const ScanShape& shape, const ScanInput& input, float* y, float* starts) {
  const std::vector<ScanTask> tasks = scan_tasks(shape);
  parallel_for(static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t index, std::int64_t) {
    thread_local Scratch<float> scratch;
    const ScanTask& task = tasks[static_cast<std::size_t>(index)];
    const std::int64_t wanted = HWY_DYNAMIC_DISPATCH(scan_forward_task)(shape, input, task, nullptr, y, starts);
    HWY_DYNAMIC_DISPATCH(scan_forward_task)(shape, input, task, scratch.get(wanted), y, starts);
  });
}

}  // namespace qad::kernels
#endif
