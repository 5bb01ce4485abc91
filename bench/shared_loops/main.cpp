// bench_shared_loops: how long a loop over chunks takes, by its length. bench/shared_cores runs it alone and beside a
// busy neighbour: what a step loses there is what its loops, which are short, lose. Prints a JSON object a line.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "autograd/base/clock.h"
#include "autograd/base/parallel.h"

namespace {

constexpr std::int64_t kChunks = 64;
constexpr double kSecondsEach = 3;

// Work that no memory slows down, and that the compiler can't leave out.
std::uint64_t turn(std::uint64_t x, std::int64_t rounds) {
  for (std::int64_t i = 0; i < rounds; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

double seconds_of_loop(std::int64_t rounds, std::vector<std::uint64_t>& results) {
  const double began = qad::steady_seconds();
  qad::parallel_for(kChunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::uint64_t& result = results[static_cast<std::size_t>(i)];
      result = turn(result, rounds);
    }
  });
  return qad::steady_seconds() - began;
}

}  // namespace

int main() {
  std::vector<std::uint64_t> results(kChunks);
  for (const std::int64_t rounds : {1'000, 10'000, 100'000, 1'000'000, 10'000'000}) {
    double sum = 0;
    std::int64_t loops = 0;
    for (seconds_of_loop(rounds, results); sum < kSecondsEach; ++loops) sum += seconds_of_loop(rounds, results);
    std::cout << nlohmann::json({{"rounds", rounds}, {"seconds", sum / static_cast<double>(loops)}}).dump()
              << std::endl;
  }
  return std::ranges::find(results, std::uint64_t{1}) == results.end() ? 0 : 1;
}
