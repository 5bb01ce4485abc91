// Element types against ml_dtypes (golden/, by scripts/make_format_goldens.py) and the ONNX cast cases, and their
// rules.
#include "qad/formats/element.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "autograd/core/dtype.h"
#include "qad/formats/pack.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

std::ifstream open_golden(const std::string& name) {
  std::ifstream file(testing::source_dir() / "tests/formats/golden" / name);
  EXPECT_TRUE(file.is_open()) << name;
  return file;
}
float from_hex(const std::string& bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(bits, nullptr, 16)));
}
std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

void expect_same_number(float actual, float expected, const std::string& what) {
  if (std::isnan(expected)) EXPECT_TRUE(std::isnan(actual)) << what;
  else EXPECT_EQ(bits_of(actual), bits_of(expected)) << what << ": " << actual << " and " << expected;
}

TEST(Element, CastsAsMlDtypes) {
  std::ifstream file = open_golden("casts.txt");
  std::string name, value, code;
  int cases = 0;
  for (; file >> name >> value >> code; ++cases)
    ASSERT_EQ(element_type(name).encode(from_hex(value)), std::stoul(code, nullptr, 16)) << name << " " << value;
  EXPECT_GT(cases, 3000);
}

TEST(Element, DecodesEveryCodeAsMlDtypes) {
  std::ifstream file = open_golden("values.txt");
  std::string name, code, value;
  int cases = 0;
  for (; file >> name >> code >> value; ++cases) {
    const auto number = static_cast<std::uint32_t>(std::stoul(code, nullptr, 16));
    expect_same_number(element_type(name).value(number), from_hex(value), name + " " + code);
    expect_same_number(value_table(element_type(name))[number], from_hex(value), name + " " + code);
  }
  EXPECT_EQ(cases, 16 + 3 * 256);
}

TEST(Element, EveryCodeComesBack) {
  for (const ElementType* type : element_types()) {
    if (type->bits > 16) continue;
    for (std::uint32_t code = 0; code < 1u << type->bits; ++code) {
      const float value = type->value(code);
      if (!std::isfinite(value) || value < -type->max) continue;  // -128 and -8 are never written
      ASSERT_EQ(type->encode(value), code) << type->name;
    }
  }
}

TEST(Element, SaturatesAndSaysWhatNaNBecomes) {
  for (const ElementType* type : {&kE2M1, &kE4M3, &kE5M2, &kInt8, &kInt4, &kNF4}) {
    for (const float huge : {type->max * 1.5f, std::numeric_limits<float>::max(), kInfinity}) {
      EXPECT_EQ(type->value(type->encode(huge)), type->max) << type->name;
      EXPECT_EQ(type->value(type->encode(-huge)), -type->max) << type->name;
    }
    EXPECT_EQ(type->value(type->encode(type->min_positive)), type->min_positive) << type->name;
  }
  for (const ElementType* type : {&kE2M1, &kInt8, &kInt4, &kNF4})
    EXPECT_EQ(type->value(type->encode(kNaN)), 0.0f) << type->name;
  for (const ElementType* type : {&kE4M3, &kE5M2, &kE8M0, &kBF16, &kF32})
    EXPECT_TRUE(std::isnan(type->value(type->encode(kNaN)))) << type->name;
  EXPECT_EQ(kE8M0.encode(kInfinity), 0xfeu);
  EXPECT_EQ(kE8M0.encode(-1.0f), 0xffu);
  EXPECT_EQ(kE8M0.encode(0.0f), 0u);
  EXPECT_EQ(kE8M0.encode(0x1p-127f), 0u);
  EXPECT_EQ(kE8M0.encode(0x1.8p-127f), 1u);
}

TEST(Element, SignificantBitsAreThoseOfTheLongestValue) {
  for (const ElementType* type : element_types()) {
    if (type->bits > 16) continue;
    int longest = 0;
    for (std::uint32_t code = 0; code < 1u << type->bits; ++code) {
      const float value = type->value(code);
      if (!std::isfinite(value) || value == 0.0f || value < -type->max) continue;
      int exponent = 0, bits = 24;
      for (double fraction = std::frexp(std::abs(value), &exponent) * 0x1p24; std::fmod(fraction, 2.0) == 0; --bits)
        fraction /= 2;
      longest = std::max(longest, bits);
    }
    EXPECT_EQ(type->significant_bits, longest) << type->name;
  }
}

TEST(Element, IntegersRoundTiesToEven) {
  EXPECT_EQ(kInt8.value(kInt8.encode(0.5f)), 0.0f);
  EXPECT_EQ(kInt8.value(kInt8.encode(-1.5f)), -2.0f);
  EXPECT_EQ(kInt4.value(kInt4.encode(2.5f)), 2.0f);
  EXPECT_EQ(kInt4.encode(-7.0f), 9u);
}

TEST(Element, NF4TakesTheNearest) {
  for (std::uint32_t code = 1; code < 16; ++code) {
    const float low = kNF4.value(code - 1), high = kNF4.value(code);
    EXPECT_LT(low, high);
    EXPECT_EQ(kNF4.encode(low + 0.49f * (high - low)), code - 1);
    EXPECT_EQ(kNF4.encode(low + 0.51f * (high - low)), code);
  }
}

TEST(Element, AnUnknownNameIsAnsweredWithThoseKnown) {
  try {
    static_cast<void>(element_type("e3m2"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("e2m1, e4m3"), std::string::npos) << error.what();
  }
}

TEST(Element, PacksTheEvenColumnInTheLowNibble) {
  const std::uint8_t codes[] = {1, 2, 15, 8, 7};
  std::uint8_t packed[3], back[5];
  pack_codes(codes, 5, 4, packed);
  EXPECT_EQ(packed[0], 0x21);
  EXPECT_EQ(packed[1], 0x8f);
  EXPECT_EQ(packed[2], 0x07);
  unpack_codes(packed, 5, 4, back);
  EXPECT_TRUE(std::ranges::equal(codes, back));
  EXPECT_EQ(packed_code(packed, 3, 4), 8u);
}

// One tensor of the ONNX cases as floats; codes are decoded by our own tables.
std::vector<float> onnx_values(const nlohmann::json& tensor) {
  std::string type = tensor["type"];
  std::vector<float> values;
  for (const auto& bits : tensor["bits"]) {
    if (type == "f32") values.push_back(from_hex(bits));
    else if (type == "f16")
      values.push_back(f16_to_f32(static_cast<std::uint16_t>(std::stoul(bits.get<std::string>(), nullptr, 16))));
    else values.push_back(element_type(type == "e4m3fn" ? "e4m3" : type).value(bits.get<std::uint32_t>()));
  }
  return values;
}

TEST(Element, AgreesWithTheOnnxCases) {
  QAD_REQUIRE_SHARED_DATA();
  std::ifstream file(testing::shared_data() / "lowp-goldens-onnx/onnx_lowp.json");
  const auto cases = nlohmann::json::parse(file);
  int checked = 0;
  for (const auto& one : cases) {
    const std::string name = one["case"];
    const auto& output = one["outputs"][0];
    const std::vector<float> x = onnx_values(one["inputs"][0]), expected = onnx_values(output);
    if (output["type"] == "e8m0" || one["attributes"].value("saturate", 1) == 0) continue;  // another rounding mode
    const std::vector<float> scales = one["inputs"].size() > 1 ? onnx_values(one["inputs"][1]) : std::vector{1.0f};
    const std::size_t per_scale = x.size() / scales.size();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float scale = scales[i / per_scale];
      const std::string what = name + " element " + std::to_string(i);
      if (output["type"] == "f32") expect_same_number(x[i] * scale, expected[i], what);
      else if (output["type"] == "f16") expect_same_number(f16_to_f32(f32_to_f16(x[i] * scale)), expected[i], what);
      else if (!(std::isnan(x[i]) && output["type"] == "e2m1")) {  // e2m1 has no NaN
        const ElementType& element = element_type(output["type"] == "e2m1" ? "e2m1" : "e4m3");
        const float zero_point = one["inputs"].size() > 1 ? 0.0f : -0.0f;  // QuantizeLinear adds it, so -0 becomes 0
        expect_same_number(element.value(element.encode(x[i] / scale + zero_point)), expected[i], what);
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 150);
}

}  // namespace
}  // namespace qad
