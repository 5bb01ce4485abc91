// Quantized operands that BF16 holds exactly, and the products that use it: every code, and a layer's forward. Formats
// whose codes are multiplied as they are have tests of their own (coded_products_test.cpp).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>

#include "autograd/kernels/table.h"
#include "qad/quant/bf16_rounding.h"
#include "tests/quant/quantized_group.h"

namespace qad {
namespace {

// Rows of all codes, each row with the next block scale's code; scales that aren't numbers are left out.
QuantizedTensor all_values(const BlockFormat& format, float tensor_scale) {
  std::vector<std::uint32_t> scales;
  for (std::uint32_t code = 0; code < (format.scale ? 1u << format.scale->bits : 1u); ++code)
    if (!format.scale || std::isfinite(format.scale->value(code))) scales.push_back(code);
  const std::int64_t cols = format.block == BlockFormat::kWholeRow ? 256 : format.block;
  auto tensor = QuantizedTensor::allocate(format, static_cast<std::int64_t>(scales.size()), cols, tensor_scale);
  for (std::size_t i = 0; i < tensor.codes.span<std::uint8_t>().size(); ++i) {
    const auto byte = static_cast<unsigned>(i) % static_cast<unsigned>(tensor.codes.cols());
    const unsigned pair = 2 * byte % 16;
    tensor.codes.span<std::uint8_t>()[i] =
        static_cast<std::uint8_t>(format.element->bits == 8 ? byte : pair | (pair + 1) << 4);
  }
  if (format.scale)
    for (std::size_t row = 0; row < scales.size(); ++row)
      tensor.scales.data<std::uint8_t>()[row] = static_cast<std::uint8_t>(scales[row]);
  return tensor;
}

TEST(ExactInBf16, EveryCodeUnderEveryScale) {
  for (const char* name : {"nvfp4", "mxfp4", "fp8"}) {
    const BlockFormat& format = block_format(name);
    const auto scales = format.has_tensor_scale ? std::vector<float>{1.0f, kSmallestScale, 0x1p-13f, 0x1p90f}
                                                : std::vector<float>{1.0f};
    for (const float tensor_scale : scales) {
      const PackedTensor packed(all_values(format, tensor_scale));
      EXPECT_TRUE(packed.exact_in_bf16());
      const Tensor floats = packed.expand(), halves = packed.expand_bf16();
      for (std::int64_t i = 0; i < floats.size(); ++i) {
        const float value = floats.data()[i];
        if (std::isnan(value)) continue;  // E4M3's own
        ASSERT_EQ(std::bit_cast<std::uint32_t>(bf16_to_f32(halves.data<std::uint16_t>()[i])),
                  std::bit_cast<std::uint32_t>(value))
            << name << " " << tensor_scale << " " << i;
      }
    }
  }
}

TEST(ExactInBf16, OnlyWhereItIs) {
  for (const BlockFormat& format : block_formats()) {
    const bool short_enough = format.name == "nvfp4" || format.name == "mxfp4" || format.name == "fp8";
    EXPECT_EQ(format.exact_in_bf16(1.0f), short_enough) << format.name;
    EXPECT_FALSE(format.exact_in_bf16(0.3f)) << format.name;
  }
  const Tensor floats({2, 3});
  floats.fill(1.0f);
  EXPECT_FALSE(operand_of(floats)->exact_in_bf16());
  EXPECT_FALSE(operand_of(floats.to(DType::f16))->exact_in_bf16());
  EXPECT_TRUE(operand_of(floats.to(DType::bf16))->exact_in_bf16());
  EXPECT_TRUE(Bf16Rounding().apply(floats, 1).operand->exact_in_bf16());
}

TEST(ExactInBf16, QuantizesToTheSameCodesAndValues) {
  for (const char* name : {"nvfp4", "mxfp4", "fp8"}) {
    const std::int64_t rows = 37, cols = 96;
    const auto x = testing::normal_floats(rows * cols, 1.0, 5);
    auto a =
        QuantizedTensor::allocate(block_format(name), rows, cols, block_format(name).has_tensor_scale ? 0x1p-9f : 1);
    auto b = QuantizedTensor::allocate(*a.format, rows, cols, a.tensor_scale);
    const Tensor floats({rows, cols}), halves({rows, cols}, DType::bf16);
    quantize(x.data(), a, floats.data());
    quantize(x.data(), b, halves.data<std::uint16_t>());
    EXPECT_TRUE(std::ranges::equal(a.codes.span<std::uint8_t>(), b.codes.span<std::uint8_t>()));
    EXPECT_TRUE(std::ranges::equal(halves.to(DType::f32).span(), floats.span()));
  }
}

struct Bf16Group : testing::QuantizedGroup {
  explicit Bf16Group(TensorScaleRound round) : QuantizedGroup("fp8", "fp8", round) {}
  // The layer's output by products in FP32.
  [[nodiscard]] Tensor in_fp32(const Linear& member) const {
    return times_transposed(values(), member.weight->operand().values());
  }
  [[nodiscard]] DType type_for_members() const { return inputs->apply(input.value(), 0, readers()).value.dtype(); }
};

TEST(Bf16Products, AForwardEqualsThatInFp32ButForItsSums) {
  if (kernel_table().gemm_bf16 == nullptr) GTEST_SKIP() << "this CPU has no instructions for it";
  const Bf16Group g(TensorScaleRound::pow2);
  EXPECT_EQ(g.type_for_members(), DType::bf16);
  const std::vector<Variable> outputs = g.group(g.input);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Tensor expected = g.in_fp32(g.group.members[i]);
    testing::expect_near("output", outputs[i].value().span(), testing::doubles(expected.span()), 1e-6);
  }
}

TEST(Bf16Products, AnyOtherTensorScaleStaysInFp32) {
  const Bf16Group g(TensorScaleRound::none);
  EXPECT_EQ(g.type_for_members(), DType::f32);
  const std::vector<Variable> outputs = g.group(g.input);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(outputs[i].value().span(), g.in_fp32(g.group.members[i]).span()));
}

// Gradients come from FP32 operands, whatever the forward multiplied.
TEST(Bf16Products, GradientsAreThoseOfFp32) {
  const Bf16Group g(TensorScaleRound::pow2);
  const std::vector<Variable> outputs = g.group(g.input);
  const Tensor dy = Tensor::from(testing::normal_floats(70 * 130, 1.0, 9), {70, 130});
  backward(outputs[0], dy.clone());
  const Linear& member = g.group.members[0];
  const Tensor dx({70, 96});
  member.weight->operand().values().multiply(dy, false, dx);
  EXPECT_TRUE(std::ranges::equal(g.input.sink()->gradient().span(), dx.span()));
  const Tensor dw({130, 96}), x = g.inputs->apply(g.input.value(), 0).value;
  kernel_table().gemm(kernels::Transpose::yes, kernels::Transpose::no, 130, 96, 70, dy.data(), 130, x.data(), 96, false,
                      dw.data(), 96);
  EXPECT_TRUE(std::ranges::equal(member.weight->variable.sink()->gradient().span(), dw.span()));
}

}  // namespace
}  // namespace qad
