// The matrix products of a training step: forward (NT), gradient of the input (NN), gradient of the weights (TN).
#include "autograd/kernels/gemm.h"
#include "bench/kernels/measure.h"

namespace qad::bench {
namespace {

using kernels::Transpose;

void gemm(benchmark::State& state, Transpose transpose_a, Transpose transpose_b) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const auto a = normal_floats(m * k, 1), b = normal_floats(n * k, 2);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const std::int64_t lda = transpose_a == Transpose::no ? k : m, ldb = transpose_b == Transpose::no ? n : k;
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  measure(state, state.range(3), "GFLOP/s", flops,
          [&] { kernels::gemm(transpose_a, transpose_b, m, n, k, a.data(), lda, b.data(), ldb, false, c.data(), n); });
}

// m = tokens, n = outputs, k = inputs; `role` says which of the three products of a Linear.
void shapes(benchmark::internal::Benchmark* bench, char role) {
  bench->UseRealTime();
  struct Linear {
    std::int64_t tokens, outputs, inputs;
  };
  for (const Linear& s : {Linear{2048, 512, 512},
                          {2048, 1536, 512},
                          {2048, 512, 1536},
                          {512, 2048, 256},
                          {2048, 384, 128},
                          {512, 8192, 512},
                          {8, 256, 128},
                          {1, 512, 512},
                          {1, 32000, 288}})
    for (const std::int64_t threads : {1, 2}) {
      if (role == 'y') bench->Args({s.tokens, s.outputs, s.inputs, threads});
      if (role == 'x') bench->Args({s.tokens, s.inputs, s.outputs, threads});
      if (role == 'w') bench->Args({s.outputs, s.inputs, s.tokens, threads});
    }
}

BENCHMARK_CAPTURE(gemm, forward_NT, Transpose::no, Transpose::yes)->Apply([](auto* b) { shapes(b, 'y'); });
BENCHMARK_CAPTURE(gemm, input_gradient_NN, Transpose::no, Transpose::no)->Apply([](auto* b) { shapes(b, 'x'); });
BENCHMARK_CAPTURE(gemm, weight_gradient_TN, Transpose::yes, Transpose::no)->Apply([](auto* b) { shapes(b, 'w'); });

}  // namespace
}  // namespace qad::bench
