// What the kernel benchmarks share: inputs, threads from the last argument, rates.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"

namespace qad::bench {

inline std::vector<float> normal_floats(std::int64_t size, std::uint64_t stream) {
  Random random(1, stream);
  std::vector<float> out(static_cast<std::size_t>(size));
  for (float& value : out) value = static_cast<float>(random.normal());
  return out;
}

/// Runs `body` over and over on `thread_count` threads and reports work a second of wall time, in units of 1e9.
template <class Body>
void measure(benchmark::State& state, std::int64_t thread_count, const char* unit, double work, Body&& body) {
  set_threads(static_cast<int>(thread_count));
  body();  // threads, scratch and pages are there before the clock starts
  for (auto iteration : state) body();
  state.counters[unit] =
      benchmark::Counter(1e-9 * work * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

}  // namespace qad::bench
