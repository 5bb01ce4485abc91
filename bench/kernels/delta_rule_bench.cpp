// The gated delta rule, forward and backward, in floating-point operations of its chunks of 64 tokens: a token and head
// take 4·64·d + 6·d² forward, and 2.5 times that backward.
#include "autograd/kernels/delta_rule.h"
#include "bench/kernels/measure.h"

namespace qad::bench {
namespace {

enum class Direction { forward, backward, decode };

// tokens (sequences of one token each where it decodes), key heads, value heads, head size, threads
void delta_rule(benchmark::State& state, bool by_channel, Direction direction) {
  const std::int64_t tokens = state.range(0), key_heads = state.range(1), value_heads = state.range(2),
                     dim = state.range(3);
  const bool decodes = direction == Direction::decode;
  std::vector<float> remembered(static_cast<std::size_t>(decodes ? tokens * value_heads * dim * dim : 0));
  std::vector<kernels::DeltaRuleSegment> segments = {{{0, tokens}}};
  if (decodes) segments.clear();
  for (std::int64_t i = 0; decodes && i < tokens; ++i)
    segments.push_back({{i, i + 1, 100, remembered.data() + i * value_heads * dim * dim}});
  const std::int64_t kept = kernels::count_starts(segments);
  const kernels::DeltaRuleExtents e{segments, key_heads, value_heads, dim, dim, by_channel};
  const std::int64_t qk = key_heads * dim, vs = value_heads * dim, ls = value_heads * e.decay_width();
  const auto q = normal_floats(tokens * qk, 1), k = normal_floats(tokens * qk, 2), v = normal_floats(tokens * vs, 3),
             d_out = normal_floats(tokens * vs, 4), beta = normal_floats(tokens * value_heads, 5);
  auto decay = normal_floats(tokens * ls, 6);
  for (float& l : decay) l = -0.1f * l * l;
  std::vector<float> out(v.size()), states(static_cast<std::size_t>(kept * value_heads * dim * dim));
  std::vector<float> dq(q.size()), dk(k.size()), dv(v.size()), d_decay(decay.size()), d_beta(beta.size());
  const kernels::DeltaRuleTensors<const float> x{
      {q.data(), qk}, {k.data(), qk}, {v.data(), vs}, {decay.data(), ls}, {beta.data(), value_heads}};
  const auto forward = [&] { kernels::delta_rule_forward(e, x, out.data(), decodes ? nullptr : states.data()); };
  forward();
  double flops = static_cast<double>(tokens * value_heads * (4 * kernels::kDeltaChunk * dim + 6 * dim * dim));
  if (decodes) flops = static_cast<double>(tokens * value_heads * 7 * dim * dim);
  if (direction == Direction::backward) flops *= 2.5;
  measure(state, state.range(4), "GFLOP/s", flops, [&] {
    if (direction != Direction::backward) return forward();
    kernels::delta_rule_backward(
        e, x, states.data(), d_out.data(),
        {{dq.data(), qk}, {dk.data(), qk}, {dv.data(), vs}, {d_decay.data(), ls}, {d_beta.data(), value_heads}});
  });
}

void delta_shapes(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2}) {
    bench->Args({512, 32, 32, 128, threads});
    bench->Args({512, 16, 32, 128, threads});
  }
}
void decoding_shapes(benchmark::internal::Benchmark* bench) {
  bench->UseRealTime();
  for (const std::int64_t threads : {1, 2}) bench->Args({1, 32, 32, 128, threads});
}

BENCHMARK_CAPTURE(delta_rule, forward, false, Direction::forward)->Apply(delta_shapes);
BENCHMARK_CAPTURE(delta_rule, forward_by_channel, true, Direction::forward)->Apply(delta_shapes);
BENCHMARK_CAPTURE(delta_rule, backward, false, Direction::backward)->Apply(delta_shapes);
BENCHMARK_CAPTURE(delta_rule, backward_by_channel, true, Direction::backward)->Apply(delta_shapes);
BENCHMARK_CAPTURE(delta_rule, decode, false, Direction::decode)->Apply(decoding_shapes);
BENCHMARK_CAPTURE(delta_rule, decode_by_channel, true, Direction::decode)->Apply(decoding_shapes);

}  // namespace
}  // namespace qad::bench
