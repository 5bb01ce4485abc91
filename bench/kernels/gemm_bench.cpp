// The matrix products of a training step: forward (NT), gradient of the input (NN), gradient of the weights (TN).
#include "autograd/base/mapped_pages.h"
#include "autograd/core/tensor.h"
#include "autograd/kernels/gemm.h"
#include "autograd/kernels/gemm_in_order.h"
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

// As decoding multiplies with a head in BF16: GB/s are those of its bytes.
void in_order_bf16(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const auto a = normal_floats(m * k, 1);
  const std::vector<std::uint16_t> b(static_cast<std::size_t>(n * k), 0x3f80);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  measure(state, state.range(3), "GMAC/s", products,
          [&] { kernels::gemm_in_order_bf16(m, n, k, a.data(), k, b.data(), k, c.data(), n); });
  state.counters["GB/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(n * k) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void in_order_interleaved(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const auto a = normal_floats(m * k, 1);
  kernels::InterleavedBF16 b{n, k};
  const Tensor elements({1, b.size()}, DType::f32);
  prefer_large_pages({elements.raw(), elements.bytes()});
  std::fill_n(reinterpret_cast<std::uint32_t*>(elements.raw()), b.size(), 0x3f803f80u);
  b.elements = reinterpret_cast<const std::uint32_t*>(elements.raw());
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  measure(state, state.range(3), "GMAC/s", products,
          [&] { kernels::gemm_in_order_interleaved(m, b, a.data(), k, c.data(), n); });
  state.counters["GB/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(n * k) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(in_order_interleaved)->Apply([](auto* b) {
  b->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    for (const std::int64_t rows : {1, 8, 64}) b->Args({rows, 50304, 1024, threads});
    b->Args({1, 1024, 1024, threads});
  }
});
BENCHMARK(in_order_bf16)->Apply([](auto* b) {
  b->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    for (const std::int64_t rows : {1, 8, 64}) b->Args({rows, 50304, 1024, threads});
    b->Args({256, 1024, 1024, threads});
  }
});

BENCHMARK_CAPTURE(gemm, forward_NT, Transpose::no, Transpose::yes)->Apply([](auto* b) { shapes(b, 'y'); });
BENCHMARK_CAPTURE(gemm, input_gradient_NN, Transpose::no, Transpose::no)->Apply([](auto* b) { shapes(b, 'x'); });
BENCHMARK_CAPTURE(gemm, weight_gradient_TN, Transpose::yes, Transpose::no)->Apply([](auto* b) { shapes(b, 'w'); });

}  // namespace
}  // namespace qad::bench
