// Every chunk runs once, whoever calls and however many threads there are.
#include "autograd/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "autograd/base/thread_pool.h"

namespace qad {
namespace {

void expect_each_once(std::int64_t size, std::int64_t chunk) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(size));
  parallel_for(size, chunk, [&](std::int64_t begin, std::int64_t end) {
    ASSERT_EQ(begin % chunk, 0);
    ASSERT_TRUE(end == size || end - begin == chunk);
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  for (const auto& count : seen) ASSERT_EQ(count, 1);
}

TEST(Parallel, EveryChunkOnceAtAnyThreadCount) {
  for (const int count : {1, 2, 3, 8}) {
    set_threads(count);
    EXPECT_EQ(threads(), count);
    for (const std::int64_t size : {0, 1, 7, 64, 1000})
      for (const std::int64_t chunk : {1, 3, 64, 5000}) expect_each_once(size, chunk);
  }
  set_threads(0);
}

TEST(Parallel, LoopAfterLoopWithoutAPause) {
  set_threads(4);
  std::int64_t expected = 0;
  std::atomic<std::int64_t> sum = 0;
  for (std::int64_t round = 0; round < 20'000; ++round) {
    const std::int64_t size = 1 + round % 9;
    parallel_for(size, 1, [&](std::int64_t begin, std::int64_t) { sum += begin + round; });
    expected += size * (size - 1) / 2 + size * round;
    if (sum != expected) FAIL() << "after round " << round;
  }
  set_threads(0);
}

TEST(HelpBalance, NoHelpWhileWaitingForItCostsMore) {
  HelpBalance balance;
  double now = 100;
  // How many of these loops are shared, when one thread takes as long as it says.
  const auto shared = [&](int loops, double working, double waiting, std::int64_t own, std::int64_t all) {
    int count = 0;
    for (int i = 0; i < loops; ++i) {
      const bool wanted = balance.is_wanted(now);
      now += wanted ? working + waiting : working * static_cast<double>(all) / static_cast<double>(own);
      if (wanted) balance.add(now, working, waiting, own, all);
      count += wanted ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(shared(10'000, 1e-4, 1e-5, 2, 4), 10'000);  // half of the work was done by others
  EXPECT_LT(shared(10'000, 1e-4, 1e-3, 2, 4), 500);     // 0.2 ms alone, 1.1 ms with their help
  EXPECT_GT(shared(10'000, 1e-4, 0, 2, 4), 8'000);      // and again when it helps
  EXPECT_EQ(shared(10'000, 1e-6, 1e-7, 4, 4), 10'000);  // too small to be shared, but no loss
  EXPECT_EQ(shared(10'000, 0, 1e-3, 0, 4), 10'000);
}

TEST(Parallel, InsideALoopAndFromSeveralThreads) {
  set_threads(3);
  std::atomic<std::int64_t> sum = 0;
  const auto nested = [&] {
    for (int round = 0; round < 200; ++round)
      parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
        parallel_for(4, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      });
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back(nested);
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 200 * 8 * 4);
  set_threads(0);
}

}  // namespace
}  // namespace qad
