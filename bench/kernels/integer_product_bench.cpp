// Products of NVFP4 codes by the number of x's rows, beside plain reading of the same bytes and products in FP32: a
// matrix that no cache holds (as decoding reads it), and one of a layer (as training does).
#include <numeric>

#include "autograd/kernels/gemm.h"
#include "bench/kernels/measure.h"
#include "qad/formats/integer_product.h"
#include "qad/formats/quantize.h"

namespace qad::bench {
namespace {

QuantizedTensor random_codes(std::int64_t rows, std::int64_t cols, std::uint64_t stream) {
  QuantizedTensor codes = QuantizedTensor::allocate(block_format("nvfp4"), rows, cols, 0x1p-9f);
  Random random(1, stream);
  for (std::int64_t i = 0; i < codes.codes.size(); ++i)
    codes.codes.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(random.below(256));
  for (std::int64_t i = 0; i < codes.scales.size(); ++i)
    codes.scales.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(40 + random.below(60));
  return codes;
}

// Range: rows of x, of w, columns, threads. GB/s are those of w's codes and scales.
void integer_product(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const QuantizedTensor x = random_codes(m, k, 1);
  const InterleavedRows w = interleaved(random_codes(n, k, 2));
  std::vector<float> out(static_cast<std::size_t>(m * n));
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  measure(state, state.range(3), "GMAC/s", products, [&] { qad::integer_product(x, w, out.data()); });
  state.counters["GB/s"] =
      benchmark::Counter(1e-9 * static_cast<double>(w.bytes.bytes()) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

void fp32_product(benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const auto x = normal_floats(m * k, 1), w = normal_floats(n * k, 2);
  std::vector<float> out(static_cast<std::size_t>(m * n));
  const double products = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  measure(state, state.range(3), "GMAC/s", products, [&] {
    kernels::gemm(kernels::Transpose::no, kernels::Transpose::yes, m, n, k, x.data(), k, w.data(), k, false, out.data(),
                  n);
  });
}

// As many bytes as codes and scales of [n, k] take.
void plain_reading(benchmark::State& state) {
  const std::int64_t words = state.range(1) * state.range(2) / 16 * 9 / 8;
  const std::vector<std::uint64_t> bytes(static_cast<std::size_t>(words), 3);
  const std::int64_t chunk = (words + 15) / 16;
  std::vector<std::uint64_t> sums(16);
  measure(state, state.range(3), "GB/s", 8.0 * static_cast<double>(words), [&] {
    parallel_for(words, chunk, [&](std::int64_t begin, std::int64_t end) {
      sums[static_cast<std::size_t>(begin / chunk)] =
          std::accumulate(bytes.begin() + begin, bytes.begin() + end, std::uint64_t{0});
    });
    benchmark::DoNotOptimize(sums.data());
  });
}

constexpr std::int64_t kLarge = 16384, kLayer = 1024;

void by_rows(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    for (const std::int64_t rows : {1, 2, 4, 8, 16}) bench->Args({rows, kLarge, 8192, threads});
    for (const std::int64_t rows : {1, 4, 16, 64, 256, 1024}) bench->Args({rows, kLayer, kLayer, threads});
  }
}

BENCHMARK(integer_product)->Apply(by_rows);
BENCHMARK(fp32_product)->Apply([](benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2})
    for (const std::int64_t rows : {1, 16, 256, 1024}) bench->Args({rows, kLayer, kLayer, threads});
});
BENCHMARK(plain_reading)->UseRealTime()->Args({1, kLarge, 8192, 1})->Args({1, kLarge, 8192, 2});

}  // namespace
}  // namespace qad::bench
