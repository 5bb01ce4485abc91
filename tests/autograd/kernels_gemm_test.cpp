// The fast matrix product against the definition, and the definition's backward against the complex step.
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "autograd/core/dtype.h"
#include "autograd/kernels/gemm.h"
#include "autograd/kernels/table.h"
#include "autograd/reference/gemm.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

using kernels::Transpose;

struct Extents {
  std::int64_t m, n, k, spare;  // spare columns between rows: leading dimension beyond the width
};

std::string text(const Extents& e) {
  return std::to_string(e.m) + "x" + std::to_string(e.n) + "x" + std::to_string(e.k) + "+" + std::to_string(e.spare);
}

// C after gemm of normal numbers; what lies between the rows of C must stay.
void check(const Extents& e, bool transpose_a, bool transpose_b, bool accumulate) {
  const auto [m, n, k, spare] = e;
  const std::int64_t lda = (transpose_a ? m : k) + spare, ldb = (transpose_b ? k : n) + spare, ldc = n + spare;
  const auto a = normal_floats((transpose_a ? k : m) * lda, 1.0, 1);
  const auto b = normal_floats((transpose_b ? n : k) * ldb, 1.0, 2);
  auto c = normal_floats(m * ldc, 1.0, 3);
  auto expected = doubles(c);
  if (!accumulate)  // the old contents must not be read
    for (std::int64_t i = 0; i < m * ldc; ++i)
      if (i % ldc < n) c[static_cast<std::size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
  reference::gemm(transpose_a, transpose_b, m, n, k, doubles(a).data(), lda, doubles(b).data(), ldb, accumulate,
                  expected.data(), ldc);
  kernels::gemm(Transpose{transpose_a}, Transpose{transpose_b}, m, n, k, a.data(), lda, b.data(), ldb, accumulate,
                c.data(), ldc);
  expect_near("C " + text(e) + (transpose_a ? " T" : " N") + (transpose_b ? "T" : "N"), c, expected, 2e-6);
}

TEST(KernelsGemm, EqualsTheDefinition) {
  for (const Extents& e : {Extents{1, 1, 1, 0}, Extents{3, 5, 7, 0}, Extents{3, 5, 7, 3}, Extents{17, 33, 65, 1},
                           Extents{1, 300, 129, 0}, Extents{300, 1, 129, 5}, Extents{64, 64, 64, 0},
                           Extents{257, 515, 31, 2}, Extents{130, 1030, 40, 0}, Extents{520, 70, 260, 4}})
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const bool accumulate : {false, true}) check(e, transpose_a, transpose_b, accumulate);
}

TEST(KernelsGemm, EmptyExtents) {
  std::array<float, 4> c{1, 2, 3, 4};
  kernels::gemm(Transpose::no, Transpose::no, 0, 2, 2, nullptr, 2, nullptr, 2, false, c.data(), 2);
  kernels::gemm(Transpose::no, Transpose::no, 2, 0, 2, nullptr, 2, nullptr, 2, false, c.data(), 2);
  kernels::gemm(Transpose::no, Transpose::no, 2, 2, 0, nullptr, 0, nullptr, 2, true, c.data(), 2);
  EXPECT_EQ(c, (std::array<float, 4>{1, 2, 3, 4}));
  kernels::gemm(Transpose::no, Transpose::no, 2, 1, 0, nullptr, 0, nullptr, 1, false, c.data(), 2);
  EXPECT_EQ(c, (std::array<float, 4>{0, 2, 0, 4}));
}

TEST(KernelsGemm, SameBitsAtAnyThreadCount) {
  for (const Extents& e : {Extents{515, 700, 96, 0}, Extents{96, 515, 700, 0}, Extents{2048, 128, 128, 0}})
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        const auto a = normal_floats(e.m * e.k, 1.0, 1);
        const auto b = normal_floats(e.n * e.k, 1.0, 2);
        expect_same_at_any_thread_count("C " + text(e), [&] {
          std::vector<float> c(static_cast<std::size_t>(e.m * e.n));
          kernels::gemm(Transpose{transpose_a}, Transpose{transpose_b}, e.m, e.n, e.k, a.data(),
                        transpose_a ? e.m : e.k, b.data(), transpose_b ? e.k : e.n, false, c.data(), e.n);
          return c;
        });
      }
}

// Every element is the definition's chain, whatever stands beside it.
TEST(KernelsGemmInOrder, HasTheBitsOfTheDefinition) {
  if (std::string_view(kernel_description()).find("SIMD AVX") == std::string_view::npos)
    GTEST_SKIP() << "this CPU does not fuse products with sums";
  for (const Extents& e : {Extents{1, 1, 1, 0}, Extents{3, 5, 7, 3}, Extents{17, 33, 65, 1}, Extents{1, 300, 129, 0},
                           Extents{13, 16, 256, 0}, Extents{1, 64, 1024, 0}, Extents{1, 200, 55, 3},
                           Extents{97, 40, 257, 5}, Extents{200, 70, 600, 4}, Extents{2, 3, 0, 0}}) {
    const std::int64_t m = e.m, n = e.n, k = e.k, ld = k + e.spare, ldc = n + e.spare;
    const auto a = normal_floats(m * ld, 1.0, 1);
    auto b = normal_floats(n * ld, 1.0, 2);
    std::vector<std::uint16_t> halves;
    const auto expect_definition = [&](auto&& multiply) {
      auto c = normal_floats(m * ldc, 1.0, 3), expected = c;  // what lies between the rows stays
      reference::gemm_in_order(m, n, k, a.data(), ld, b.data(), ld, expected.data(), ldc);
      multiply(c.data());
      EXPECT_EQ(c, expected) << text(e);
      const auto one = [&] {
        multiply(c.data());
        return c;
      };
      expect_same_at_any_thread_count("C " + text(e), one);
    };
    expect_definition([&](float* c) { kernels::gemm_in_order(m, n, k, a.data(), ld, b.data(), ld, c, ldc); });
    for (float& value : b) {
      halves.push_back(f32_to_bf16(value));
      value = bf16_to_f32(halves.back());
    }
    expect_definition([&](float* c) { kernels::gemm_in_order_bf16(m, n, k, a.data(), ld, halves.data(), ld, c, ldc); });
    kernels::InterleavedBF16 interleaved{n, k};
    std::vector<std::uint32_t> elements(static_cast<std::size_t>(interleaved.size()), 0xffffffffu);
    kernels::interleave_bf16(n, k, halves.data(), ld, elements.data());
    interleaved.elements = elements.data();
    expect_definition([&](float* c) { kernels::gemm_in_order_interleaved(m, interleaved, a.data(), ld, c, ldc); });
  }
}

class KernelsGemmBf16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernel_table().gemm_bf16 == nullptr) GTEST_SKIP() << "this CPU has no instructions for it";
  }
  static std::vector<std::uint16_t> normal_bf16(std::int64_t size, std::uint64_t stream) {
    std::vector<std::uint16_t> bits;
    for (const float value : normal_floats(size, 1.0, stream)) bits.push_back(f32_to_bf16(value));
    return bits;
  }
};

TEST_F(KernelsGemmBf16, EqualsTheDefinition) {
  for (const Extents& e :
       {Extents{1, 1, 1, 0}, Extents{3, 5, 7, 0}, Extents{3, 5, 7, 3}, Extents{17, 33, 65, 1}, Extents{1, 300, 129, 0},
        Extents{300, 1, 130, 5}, Extents{64, 64, 64, 0}, Extents{257, 515, 31, 2}, Extents{520, 70, 260, 4},
        Extents{520, 1100, 512, 0}, Extents{40, 24, 1537, 0}})
    for (const Transpose transpose_a : {Transpose::no, Transpose::yes})
      for (const Transpose transpose_b : {Transpose::no, Transpose::yes})
        for (const bool accumulate : {false, true}) {
          const auto [m, n, k, spare] = e;
          const bool turned_a = transpose_a == Transpose::yes, turned_b = transpose_b == Transpose::yes;
          const std::int64_t lda = (turned_a ? m : k) + spare, ldb = (turned_b ? k : n) + spare, ldc = n + spare;
          const auto a = normal_bf16((turned_a ? k : m) * lda, 1), b = normal_bf16((turned_b ? n : k) * ldb, 2);
          auto c = normal_floats(m * ldc, 1.0, 3);
          auto expected = doubles(c);  // what lies between the rows stays
          for (std::int64_t i = 0; i < m * ldc && !accumulate; ++i)
            if (i % ldc < n) c[static_cast<std::size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
          reference::gemm_bf16(turned_a, turned_b, m, n, k, a.data(), lda, b.data(), ldb, accumulate, expected.data(),
                               ldc);
          kernels::gemm_bf16(transpose_a, transpose_b, m, n, k, a.data(), lda, b.data(), ldb, accumulate, c.data(),
                             ldc);
          expect_near("C " + text(e), c, expected, 2e-6);
        }
}

TEST_F(KernelsGemmBf16, EmptyExtents) {
  std::array<float, 4> c{1, 2, 3, 4};
  const auto multiply = [&](std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate) {
    kernels::gemm_bf16(Transpose::no, Transpose::yes, m, n, k, nullptr, k, nullptr, k, accumulate, c.data(), 2);
  };
  multiply(0, 2, 2, false);
  multiply(2, 0, 2, false);
  multiply(2, 1, 0, true);
  EXPECT_EQ(c, (std::array<float, 4>{1, 2, 3, 4}));
  multiply(2, 1, 0, false);
  EXPECT_EQ(c, (std::array<float, 4>{0, 2, 0, 4}));
}

TEST_F(KernelsGemmBf16, SameBitsAtAnyThreadCount) {
  for (const Extents& e : {Extents{515, 700, 96, 0}, Extents{96, 515, 700, 0}, Extents{2048, 128, 128, 0}}) {
    const auto a = normal_bf16(e.m * e.k, 1), b = normal_bf16(e.n * e.k, 2);
    expect_same_at_any_thread_count("C " + text(e), [&] {
      std::vector<float> c(static_cast<std::size_t>(e.m * e.n));
      kernels::gemm_bf16(Transpose::no, Transpose::yes, e.m, e.n, e.k, a.data(), e.k, b.data(), e.k, false, c.data(),
                         e.n);
      return c;
    });
  }
}

TEST(ReferenceGemm, BackwardEqualsComplexStep) {
  for (const Extents& e : {Extents{1, 1, 1, 0}, Extents{2, 3, 4, 0}, Extents{5, 2, 3, 0}})
    for (const double scale : {1e-6, 1e-4, 1e-2, 0.1, 0.5, 1.0, 3.0, 10.0, 1e2, 1e4}) {
      const auto a = normal_doubles(e.m * e.k, scale, 1), b = normal_doubles(e.k * e.n, scale, 2);
      const auto dc = normal_doubles(e.m * e.n, 1.0, 3);
      const auto loss = [&](const Imaginary& a_point, const Imaginary& b_point) {
        Imaginary c(dc.size());
        reference::gemm(false, false, e.m, e.n, e.k, a_point.data(), e.k, b_point.data(), e.n, false, c.data(), e.n);
        return weighted_sum(dc, c);
      };
      const Imaginary fixed_a(a.begin(), a.end()), fixed_b(b.begin(), b.end());
      Real da(a.size()), db(b.size());
      reference::gemm_backward(e.m, e.n, e.k, a.data(), b.data(), dc.data(), da.data(), db.data());
      expect_gradient("dA", da, complex_step_gradient(a, [&](const Imaginary& x) { return loss(x, fixed_b); }));
      expect_gradient("dB", db, complex_step_gradient(b, [&](const Imaginary& x) { return loss(fixed_a, x); }));
    }
}

}  // namespace
}  // namespace qad::testing
