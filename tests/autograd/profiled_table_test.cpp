// The kernel table of a profile: the same results, known operations and bytes.
#include "autograd/kernels/profiled_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "autograd/base/profile.h"

namespace qad {
namespace {

using kernels::Transpose;

const ProfileRow& only_row_of(const Profiler& profiler, std::string_view operation) {
  for (const ProfileRow& row : profiler.rows())
    if (row.operation == operation) return row;
  ADD_FAILURE() << operation << " is not recorded";
  return profiler.rows().front();
}

TEST(ProfiledTable, IsUsedWhileAProfilerLives) {
  const KernelTable* const plain = &kernel_table();
  {
    const Profiler profiler;
    EXPECT_NE(&kernel_table(), plain);
  }
  EXPECT_EQ(&kernel_table(), plain);
}

// A kernel of the table that profiled() forgets would be "other".
TEST(ProfiledTable, WrapsEveryKernel) {
  constexpr std::size_t kKernels = sizeof(KernelTable) / sizeof(void*);
  const KernelTable& plain = kernel_table();
  const KernelTable profiled = kernels::profiled(plain);
  void *before[kKernels], *after[kKernels];
  std::memcpy(before, &plain, sizeof plain);
  std::memcpy(after, &profiled, sizeof profiled);
  for (std::size_t i = 0; i < kKernels; ++i)
    EXPECT_TRUE(before[i] == nullptr || before[i] != after[i]) << "kernel " << i << " of table.h";
}

TEST(ProfiledTable, ProductsByUseWithTheirOperations) {
  constexpr std::int64_t m = 3, n = 5, k = 7;
  const std::vector<float> a(m * k, 2.0f), b(k * n, 3.0f);
  std::vector<float> c(m * n);
  const Profiler profiler;
  {
    const ProfilePhase phase("step");
    const KernelTable& kernel = kernel_table();
    kernel.gemm(Transpose::no, Transpose::yes, m, n, k, a.data(), k, b.data(), k, false, c.data(), n);
    kernel.gemm(Transpose::no, Transpose::yes, m, n, k, a.data(), k, b.data(), k, false, c.data(), n);
    kernel.gemm(Transpose::no, Transpose::no, m, n, k, a.data(), k, b.data(), n, false, c.data(), n);
    kernel.gemm(Transpose::yes, Transpose::no, m, n, k, a.data(), m, b.data(), n, true, c.data(), n);
  }
  EXPECT_EQ(c, std::vector<float>(m * n, 2 * 42.0f));
  const ProfileRow& forward = only_row_of(profiler, "gemm forward");
  EXPECT_EQ(forward.calls, 2);
  EXPECT_EQ(forward.flops, 2 * 2 * m * n * k);
  EXPECT_EQ(forward.bytes, 2 * 4 * (m * k + k * n + m * n));
  EXPECT_EQ(only_row_of(profiler, "gemm dX").flops, 2 * m * n * k);
  EXPECT_EQ(only_row_of(profiler, "gemm dW").bytes, 4 * (m * k + k * n + 2 * m * n));
}

// Only pairs of a query and a key that it sees count.
TEST(ProfiledTable, AttentionCountsWhatItSees) {
  constexpr std::int64_t heads = 2, kv_heads = 1, head_dim = 8;
  const std::vector<kernels::AttentionSegment> segments = {{0, 4, 0, 4}, {4, 6, 4, 9}};  // 1+2+3+4 and 4+5 pairs
  const std::vector<float> q(6 * heads * head_dim), kv(9 * kv_heads * head_dim, 1.0f);
  std::vector<float> out(q.size()), sums(6 * heads);
  const auto flops = [&](std::int64_t window) {
    const Profiler profiler;
    {
      const ProfilePhase phase("step");
      kernel_table().attention_forward({segments, heads, kv_heads, head_dim, 1.0f, window}, q.data(), kv.data(),
                                       kv.data(), out.data(), sums.data());
    }
    EXPECT_EQ(out, std::vector<float>(out.size(), 1.0f));
    EXPECT_EQ(only_row_of(profiler, "attention").bytes, 2 * 4 * (6 * heads + 9 * kv_heads) * head_dim);
    return only_row_of(profiler, "attention").flops;
  };
  EXPECT_EQ(flops(0), 4 * 19 * heads * head_dim);
  EXPECT_EQ(flops(2), 4 * (1 + 2 + 2 + 2 + 2 + 2) * heads * head_dim);
}

}  // namespace
}  // namespace qad
