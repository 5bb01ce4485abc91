// The scan of Mamba-2, forward and backward, in the operations of its products with whole chunks.
#include "autograd/kernels/state_space_scan.h"
#include "bench/kernels/measure.h"

namespace qad::bench {
namespace {

// sequences, tokens of each, heads, head size, groups, state, threads
void scan(benchmark::State& state, bool backward) {
  const std::int64_t tokens = state.range(1), rows = state.range(0) * tokens;
  std::vector<kernels::SequenceRows> sequences;
  for (std::int64_t begin = 0; begin < rows; begin += tokens) sequences.push_back({begin, begin + tokens});
  const kernels::ScanShape shape{.sequences = sequences,
                                 .heads = state.range(2),
                                 .head_dim = state.range(3),
                                 .groups = state.range(4),
                                 .state = state.range(5),
                                 .step_low = 0.0f,
                                 .step_high = 1e30f,
                                 .chunk = 64,
                                 .dt_stride = state.range(2)};
  const auto xBC = normal_floats(rows * shape.width(), 1), dt = normal_floats(rows * shape.heads, 2);
  const auto A_log = normal_floats(shape.heads, 3), D = normal_floats(shape.heads, 4);
  const auto dt_bias = normal_floats(shape.heads, 5), dy = normal_floats(rows * shape.heads * shape.head_dim, 6);
  const kernels::ScanInput input{xBC.data(), dt.data(), A_log.data(), D.data(), dt_bias.data()};
  std::vector<float> y(dy.size()), dxBC(xBC.size()), d_dt(dt.size()),
      parameters(static_cast<std::size_t>(3 * shape.heads));
  std::vector<float> starts(static_cast<std::size_t>(kernels::scan_starts(shape) * shape.state_size()));
  std::vector<float> partial(
      static_cast<std::size_t>(kernels::scan_blocks(shape) * rows * 2 * shape.groups * shape.state));
  const kernels::ScanGradients gradients{dxBC.data(),
                                         partial.data(),
                                         d_dt.data(),
                                         parameters.data(),
                                         parameters.data() + shape.heads,
                                         parameters.data() + 2 * shape.heads};
  const double by_head =
      static_cast<double>(2 * rows * shape.heads * shape.head_dim) *
      static_cast<double>(backward ? 2 * shape.chunk + 5 * shape.state : shape.chunk + 2 * shape.state);
  const double by_group = static_cast<double>(2 * rows * shape.groups * shape.state * shape.chunk) * (backward ? 3 : 1);
  kernels::state_space_scan_forward(shape, input, y.data(), starts.data());
  measure(state, state.range(6), "GFLOP/s", by_head + by_group, [&] {
    if (backward) kernels::state_space_scan_backward(shape, input, starts.data(), dy.data(), gradients);
    else kernels::state_space_scan_forward(shape, input, y.data(), starts.data());
  });
}

void scan_shapes(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    bench->Args({1, 512, 64, 64, 8, 128, threads});  // Nemotron 3 Nano
    bench->Args({8, 64, 64, 64, 8, 128, threads});
    bench->Args({1, 512, 24, 64, 1, 128, threads});  // Mamba-2 130M
  }
}

BENCHMARK_CAPTURE(scan, forward, false)->Apply(scan_shapes);
BENCHMARK_CAPTURE(scan, backward, true)->Apply(scan_shapes);

// One token after others, as decoding has it: bytes of the states, read and written.
void scan_token(benchmark::State& state) {
  std::vector<float> states(static_cast<std::size_t>(64 * 128 * 64));
  const std::vector<kernels::SequenceRows> sequences{{0, 1, 100, states.data()}};
  const kernels::ScanShape shape{.sequences = sequences,
                                 .heads = 64,
                                 .head_dim = 64,
                                 .groups = 8,
                                 .state = 128,
                                 .step_low = 0.0f,
                                 .step_high = 1e30f,
                                 .chunk = 64,
                                 .dt_stride = 64};
  const auto xBC = normal_floats(shape.width(), 1), by_head = normal_floats(64, 2);
  const kernels::ScanInput input{xBC.data(), by_head.data(), by_head.data(), by_head.data(), by_head.data()};
  std::vector<float> y(64 * 64);
  measure(state, state.range(0), "GB/s", static_cast<double>(8 * states.size()),
          [&] { kernels::state_space_scan_forward(shape, input, y.data(), nullptr); });
}
BENCHMARK(scan_token)->UseRealTime()->Arg(1)->Arg(2);

}  // namespace
}  // namespace qad::bench
