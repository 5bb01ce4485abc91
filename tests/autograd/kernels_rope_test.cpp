// Rotary embedding: fast against definition, the inverse as backward against the complex step.
#include <gtest/gtest.h>

#include "autograd/kernels/rope.h"
#include "autograd/reference/rope.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

struct RopeCase {
  std::int64_t tokens, heads, head_dim, turned;
};

// Angles of 40 positions, and positions out of order.
struct Angles {
  std::vector<float> cosines, sines;
  std::vector<std::int32_t> positions;

  explicit Angles(const RopeCase& c) {
    for (int position = 0; position < 40; ++position)
      for (std::int64_t i = 0; i < c.turned / 2; ++i) {
        const double angle =
            position * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(c.turned));
        cosines.push_back(static_cast<float>(std::cos(angle)));
        sines.push_back(static_cast<float>(std::sin(angle)));
      }
    for (std::int64_t token = 0; token < c.tokens; ++token)
      positions.push_back(static_cast<std::int32_t>(token * 7 % 40));
  }
};

TEST(KernelsRope, EqualsTheDefinition) {
  for (const RopeCase& c :
       {RopeCase{1, 1, 2, 2}, RopeCase{5, 2, 6, 6}, RopeCase{33, 3, 16, 16}, RopeCase{40, 4, 64, 64},
        RopeCase{200, 2, 128, 128}, RopeCase{5, 2, 16, 4}, RopeCase{7, 3, 64, 16}})
    for (const bool inverse : {false, true}) {
      const Angles angles(c);
      auto x = normal_floats(c.tokens * c.heads * c.head_dim, 1.0, 1);
      Real expected(x.size());
      reference::rope(c.tokens, c.heads, c.head_dim, c.turned, angles.positions.data(), doubles(angles.cosines).data(),
                      doubles(angles.sines).data(), inverse, doubles(x).data(), expected.data());
      kernels::rope(c.tokens, c.heads, c.head_dim, c.turned, angles.positions.data(), angles.cosines.data(),
                    angles.sines.data(), inverse, x.data(), x.data());
      expect_near("rope", x, expected, 2e-7);
    }
}

TEST(ReferenceRope, InverseIsTheBackward) {
  for (const RopeCase& c : {RopeCase{1, 1, 2, 2}, RopeCase{3, 2, 4, 4}, RopeCase{3, 2, 6, 2}})
    for (const double scale : {1e-6, 1e-4, 1e-2, 0.1, 0.5, 1.0, 3.0, 10.0, 1e2, 1e4}) {
      const Angles angles(c);
      const Real cosines = doubles(angles.cosines), sines = doubles(angles.sines);
      const Imaginary complex_cosines(cosines.begin(), cosines.end()), complex_sines(sines.begin(), sines.end());
      const auto x = normal_doubles(c.tokens * c.heads * c.head_dim, scale, 1);
      const auto d_out = normal_doubles(c.tokens * c.heads * c.head_dim, 1.0, 2);
      Real dx(x.size());
      reference::rope(c.tokens, c.heads, c.head_dim, c.turned, angles.positions.data(), cosines.data(), sines.data(),
                      true, d_out.data(), dx.data());
      expect_gradient("dx", dx, complex_step_gradient(x, [&](const Imaginary& point) {
                        Imaginary out(point.size());
                        reference::rope(c.tokens, c.heads, c.head_dim, c.turned, angles.positions.data(),
                                        complex_cosines.data(), complex_sines.data(), false, point.data(), out.data());
                        return weighted_sum(d_out, out);
                      }));
    }
}

TEST(KernelsRope, SameBitsAtAnyThreadCount) {
  const RopeCase c{500, 4, 64, 64};
  const Angles angles(c);
  const auto x = normal_floats(c.tokens * c.heads * c.head_dim, 1.0, 1);
  expect_same_at_any_thread_count("rope", [&] {
    std::vector<float> out(x.size());
    kernels::rope(c.tokens, c.heads, c.head_dim, c.turned, angles.positions.data(), angles.cosines.data(),
                  angles.sines.data(), false, x.data(), out.data());
    return out;
  });
}

}  // namespace
}  // namespace qad::testing
