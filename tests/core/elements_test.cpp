// What a device does with elements: every conversion against the one that dtype.h defines, over all BF16 and F16 codes.
#include "autograd/core/elements.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace qad {
namespace {

template <class To, class From>
std::vector<To> converted(DType type, const std::vector<From>& from, DType out_type) {
  std::vector<To> out(from.size());
  element_kernels(Device::cpu)
      .convert(type, reinterpret_cast<const std::byte*>(from.data()), out_type,
               reinterpret_cast<std::byte*>(out.data()), static_cast<std::int64_t>(from.size()));
  return out;
}

std::vector<std::uint16_t> all_codes() {
  std::vector<std::uint16_t> codes(1 << 16);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint16_t>(i);
  return codes;
}

TEST(Elements, AllHalfPrecisionCodesConvertAsDefined) {
  const std::vector<std::uint16_t> codes = all_codes();
  const auto from_bf16 = converted<float>(DType::bf16, codes, DType::f32);
  const auto from_f16 = converted<float>(DType::f16, codes, DType::f32);
  const auto bf16_as_f16 = converted<std::uint16_t>(DType::bf16, codes, DType::f16);
  const auto f16_as_bf16 = converted<std::uint16_t>(DType::f16, codes, DType::bf16);
  const auto back = converted<std::uint16_t>(DType::f32, from_bf16, DType::bf16);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(from_bf16[i]), static_cast<std::uint32_t>(codes[i]) << 16);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(from_f16[i]), std::bit_cast<std::uint32_t>(f16_to_f32(codes[i])));
    ASSERT_EQ(bf16_as_f16[i], f32_to_f16(from_bf16[i]));
    ASSERT_EQ(f16_as_bf16[i], f32_to_bf16(from_f16[i]));
    if (!std::isnan(from_bf16[i])) {
      ASSERT_EQ(back[i], codes[i]);
    }
  }
  EXPECT_EQ(converted<std::uint16_t>(DType::bf16, codes, DType::bf16), codes);
}

TEST(Elements, FloatsRoundToTheNearestThatBf16Holds) {
  std::vector<float> from;
  for (std::uint32_t bits = 0x3f7e0000; bits < 0x3f840000; bits += 0x1fff) from.push_back(std::bit_cast<float>(bits));
  from.insert(from.end(), {0.0f, -0.0f, std::bit_cast<float>(0x3f808000u), std::bit_cast<float>(0x3f818000u)});
  std::vector<float> out(from.size());
  element_kernels(Device::cpu).round_to_bf16(from.data(), out.data(), static_cast<std::int64_t>(from.size()));
  const auto bits = converted<std::uint16_t>(DType::f32, from, DType::bf16);
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(out[i]), static_cast<std::uint32_t>(bits[i]) << 16) << from[i];
    EXPECT_LE(std::abs(out[i] - from[i]), std::ldexp(std::abs(from[i]), -8)) << from[i];
  }
  EXPECT_EQ(out[from.size() - 2], std::bit_cast<float>(0x3f800000u));  // ties to even
  EXPECT_EQ(out[from.size() - 1], std::bit_cast<float>(0x3f820000u));
}

TEST(Elements, AreFilledZeroedAndCopied) {
  std::vector<float> values(70000, 1.0f), copy(70000);
  const ElementKernels& kernels = element_kernels(Device::cpu);
  kernels.fill(values.data(), 69999, 2.5f);
  EXPECT_EQ(values[69998], 2.5f);
  EXPECT_EQ(values[69999], 1.0f);
  kernels.copy(reinterpret_cast<const std::byte*>(values.data()), reinterpret_cast<std::byte*>(copy.data()), 280000);
  EXPECT_EQ(copy, values);
  kernels.zero(reinterpret_cast<std::byte*>(copy.data()), 4 * 69999);
  EXPECT_EQ(copy[69998], 0.0f);
  EXPECT_EQ(copy[69999], 1.0f);
}

}  // namespace
}  // namespace qad
