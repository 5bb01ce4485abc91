// Kernels bound by memory: bytes that must be read and written once, in GB/s. Two sizes: near the cores, and far from
// them.
#include "autograd/kernels/table.h"
#include "bench/kernels/measure.h"

namespace qad::bench {
namespace {

constexpr std::int64_t kCols = 512;

struct Buffers {
  std::int64_t rows, size;
  std::vector<float> a, b, c, d, e;

  explicit Buffers(const benchmark::State& state)
      : rows(state.range(0)),
        size(rows * kCols),
        a(normal_floats(size, 1)),
        b(normal_floats(size, 2)),
        c(normal_floats(size, 3)),
        d(static_cast<std::size_t>(size)),
        e(static_cast<std::size_t>(size)) {}
};

// `passes`: buffers of the full size that are read or written.
template <class Body>
void run(benchmark::State& state, const Buffers& buffers, int passes, Body&& body) {
  measure(state, state.range(1), "GB/s", 4.0 * passes * static_cast<double>(buffers.size), body);
}

void add(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 3, [&] { kernels::add(x.size, x.a.data(), x.b.data(), x.d.data()); });
}
void sum_of_squares(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 1, [&] { benchmark::DoNotOptimize(kernels::sum_of_squares(x.size, x.a.data())); });
}
void column_sums(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 1, [&] { kernels::accumulate_column_sums(x.rows, kCols, x.a.data(), x.d.data()); });
}
void swiglu_forward(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 3, [&] { kernels::swiglu_forward(x.size, x.a.data(), x.b.data(), x.d.data()); });
}
void swiglu_backward(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 5,
      [&] { kernels::swiglu_backward(x.size, x.a.data(), x.b.data(), x.c.data(), x.d.data(), x.e.data()); });
}
void rms_norm_forward(benchmark::State& state) {
  Buffers x(state);
  run(state, x, 2,
      [&] { kernels::rms_norm_forward(x.rows, kCols, 1e-5f, x.a.data(), x.b.data(), x.d.data(), x.e.data()); });
}
void rms_norm_backward(benchmark::State& state) {
  Buffers x(state);
  std::vector<float> d_weight(kCols), inverse(static_cast<std::size_t>(x.rows), 1.0f);
  run(state, x, 3, [&] {
    kernels::rms_norm_backward(x.rows, kCols, x.a.data(), x.b.data(), inverse.data(), x.c.data(), x.d.data(),
                               d_weight.data());
  });
}
void rope(benchmark::State& state) {
  Buffers x(state);
  constexpr std::int64_t kHeadDim = 64;
  std::vector<std::int32_t> positions(static_cast<std::size_t>(x.rows));
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i % 256);
  const auto angles = normal_floats(256 * kHeadDim / 2, 9);
  run(state, x, 2, [&] {
    kernels::rope(x.rows, kCols / kHeadDim, kHeadDim, kHeadDim, positions.data(), angles.data(), angles.data(), false,
                  x.a.data(), x.d.data());
  });
}
void adamw(benchmark::State& state) {
  Buffers x(state);
  const kernels::AdamWUpdate update{1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1.0f};
  run(state, x, 7, [&] { kernels::adamw(x.size, update, x.a.data(), x.b.data(), x.d.data(), x.e.data()); });
}
void embedding_backward(benchmark::State& state) {
  Buffers x(state);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(x.rows));
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(x.rows));
  run(state, x, 3, [&] { kernels::embedding_backward(x.rows, kCols, ids.data(), x.a.data(), x.d.data()); });
}
void row_loss(benchmark::State& state, kernels::RowLoss kind) {
  Buffers x(state);
  constexpr std::int64_t kVocabulary = 8 * kCols;
  const std::int64_t rows = x.rows / 8;
  const std::vector<float> weights(static_cast<std::size_t>(rows), 1.0f);
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(rows), 3);
  std::vector<double> losses(static_cast<std::size_t>(rows));
  const kernels::RowLossInput input{rows, kVocabulary, x.a.data(), labels.data(), weights.data(), 1.0f};
  run(state, x, kind == kernels::RowLoss::cross_entropy ? 2 : 3,
      [&] { kernels::row_loss(kind, input, true, x.b.data(), losses.data()); });
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t rows : {256, 32768})  // 512 KiB and 64 MiB a buffer
    for (const std::int64_t threads : {1, 2}) bench->Args({rows, threads});
}

BENCHMARK(add)->Apply(sizes);
BENCHMARK(sum_of_squares)->Apply(sizes);
BENCHMARK(column_sums)->Apply(sizes);
BENCHMARK(swiglu_forward)->Apply(sizes);
BENCHMARK(swiglu_backward)->Apply(sizes);
BENCHMARK(rms_norm_forward)->Apply(sizes);
BENCHMARK(rms_norm_backward)->Apply(sizes);
BENCHMARK(rope)->Apply(sizes);
BENCHMARK(adamw)->Apply(sizes);
BENCHMARK(embedding_backward)->Apply(sizes);
BENCHMARK_CAPTURE(row_loss, kl_forward, kernels::RowLoss::kl_forward)->Apply(sizes);
BENCHMARK_CAPTURE(row_loss, cross_entropy, kernels::RowLoss::cross_entropy)->Apply(sizes);

}  // namespace
}  // namespace qad::bench
