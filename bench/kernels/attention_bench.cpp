// Attention, forward and backward, in floating-point operations that the causal mask leaves.
#include "autograd/kernels/attention.h"
#include "bench/kernels/measure.h"

namespace qad::bench {
namespace {

// segments, keys of each, heads, key/value heads, head size, queries of each (fewer than keys: decoding), threads
void attention(benchmark::State& state, bool backward) {
  const std::int64_t segments = state.range(0), keys = state.range(1), heads = state.range(2),
                     kv_heads = state.range(3);
  const std::int64_t dim = state.range(4), queries = state.range(5);
  std::vector<kernels::AttentionSegment> all;
  for (std::int64_t i = 0; i < segments; ++i) all.push_back({i * queries, (i + 1) * queries, i * keys, (i + 1) * keys});
  const kernels::AttentionShape shape{all, heads, kv_heads, dim, 0.125f, 0};
  const auto q = normal_floats(segments * queries * heads * dim, 1),
             d_out = normal_floats(segments * queries * heads * dim, 4);
  const auto k = normal_floats(segments * keys * kv_heads * dim, 2),
             v = normal_floats(segments * keys * kv_heads * dim, 3);
  std::vector<float> out(q.size()), sums(q.size()), dq(q.size()), dk(k.size()), dv(k.size());
  // Each pair of a query and a key it sees: 2 products of 2·dim operations forward, 5 backward.
  const std::int64_t pairs = segments * heads * (queries * keys - queries * (queries - 1) / 2);
  const double flops = static_cast<double>(pairs * 2 * dim * (backward ? 5 : 2));
  kernels::attention_forward(shape, q.data(), k.data(), v.data(), out.data(), sums.data());
  measure(state, state.range(6), "GFLOP/s", flops, [&] {
    if (backward)
      kernels::attention_backward(shape, q.data(), k.data(), v.data(), sums.data(), d_out.data(), dq.data(), dk.data(),
                                  dv.data());
    else kernels::attention_forward(shape, q.data(), k.data(), v.data(), out.data(), sums.data());
  });
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    bench->Args({8, 256, 8, 4, 16, 256, threads});
    bench->Args({16, 128, 8, 4, 32, 128, threads});
    bench->Args({8, 256, 8, 4, 64, 256, threads});
    bench->Args({2, 512, 16, 8, 128, 512, threads});
    bench->Args({1, 4096, 8, 4, 64, 4096, threads});
    bench->Args({1, 1024, 8, 4, 64, 1, threads});
  }
}

BENCHMARK_CAPTURE(attention, forward, false)->Apply(shapes);
BENCHMARK_CAPTURE(attention, backward, true)->Apply(shapes);

}  // namespace
}  // namespace qad::bench
