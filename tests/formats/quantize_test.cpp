// The numeric contract of block formats: golden blocks, rules at the edges, and fast paths equal to the definition.
#include "qad/formats/quantize.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "qad/formats/pack.h"
#include "qad/formats/quantize_reference.h"
#include "tests/support/paths.h"
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace qad {
namespace {

const BlockFormat& nvfp4() { return block_format("nvfp4"); }

std::uint32_t float_bits(float value) { return std::bit_cast<std::uint32_t>(value); }

std::vector<std::uint8_t> bytes_of_tensor(const Tensor& tensor) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(tensor.raw());
  return {begin, begin + tensor.bytes()};
}

struct Quantized {
  QuantizedTensor tensor;
  std::vector<float> values;
  QuantizeStatistics statistics;
};

Quantized quantized(const BlockFormat& format, const std::vector<float>& x, std::int64_t cols, float tensor_scale) {
  Quantized result;
  result.tensor = QuantizedTensor::allocate(format, static_cast<std::int64_t>(x.size()) / cols, cols, tensor_scale);
  result.values.resize(x.size());
  result.statistics = quantize(x.data(), result.tensor, result.values.data());
  return result;
}

// The same by the definition.
Quantized quantized_by_reference(const BlockFormat& format, const std::vector<float>& x, std::int64_t cols,
                                 float tensor_scale) {
  Quantized result;
  auto& q = result.tensor;
  q = QuantizedTensor::allocate(format, static_cast<std::int64_t>(x.size()) / cols, cols, tensor_scale);
  result.values.resize(x.size());
  const auto rows = static_cast<std::size_t>(q.rows);
  for (std::size_t row = 0; row < rows; ++row)
    reference::quantize_row(format, tensor_scale, &x[row * x.size() / rows], cols,
                            q.codes.data<std::uint8_t>() + row * q.codes.bytes() / rows,
                            q.scales.defined() ? q.scales.raw() + row * q.scales.bytes() / rows : nullptr,
                            &result.values[row * x.size() / rows]);
  return result;
}

void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(float_bits(a[i]), float_bits(b[i])) << "value " << i << ": " << a[i] << " and " << b[i];
}

void expect_same(const Quantized& a, const Quantized& b) {
  EXPECT_EQ(bytes_of_tensor(a.tensor.codes), bytes_of_tensor(b.tensor.codes));
  if (a.tensor.scales.defined()) {
    EXPECT_EQ(bytes_of_tensor(a.tensor.scales), bytes_of_tensor(b.tensor.scales));
  }
  expect_same_bits(a.values, b.values);
}

// Everything that could tell the fast path from the definition: normal values, ties at many scales, tiny and huge ones,
// subnormals, signed zeros, whole zero blocks. 16 rows of `cols`.
std::vector<float> difficult_values(std::int64_t cols, std::uint64_t seed) {
  Random random(seed, stream_of("difficult values"));
  std::vector<float> x(static_cast<std::size_t>(16 * cols));
  int kind = 0, exponent = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 16 == 0) kind = static_cast<int>(random.below(8)), exponent = static_cast<int>(random.below(200)) - 110;
    const double normal = random.normal();
    const auto any = static_cast<std::uint32_t>(random.bits());
    switch (kind) {
      case 0: x[i] = static_cast<float>(normal); break;
      case 1: x[i] = static_cast<float>(std::ldexp(normal, exponent)); break;
      case 2: x[i] = std::ldexp(static_cast<float>(random.below(57) - 28) / 4, exponent / 16); break;  // ties
      case 3: x[i] = i % 16 == 0 ? 6.0f : static_cast<float>(random.below(57) - 28) / 4; break;
      case 4: x[i] = std::bit_cast<float>(any & 0x807fffffu); break;  // subnormals
      case 5: x[i] = any % 2 ? 0.0f : -0.0f; break;
      case 6: x[i] = std::bit_cast<float>((any & 0x7f800000u) == 0x7f800000u ? 0u : any); break;  // any finite
      default: x[i] = i % 5 == 0 ? static_cast<float>(normal) : 0.0f; break;
    }
  }
  return x;
}

TEST(Nvfp4, GoldenBlocks) {
  std::ifstream file(testing::source_dir() / "tests/formats/golden/nvfp4.txt");
  std::string line;
  int blocks = 0;
  for (; std::getline(file, line); ++blocks) {
    std::istringstream words(line);
    std::string word, packed;
    const auto next = [&] { return words >> word, static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)); };
    const auto tensor_scale = std::bit_cast<float>(next());
    const std::uint32_t scale = next();
    words >> packed;
    std::vector<float> x;
    while (x.size() < 16) x.push_back(std::bit_cast<float>(next()));
    const Quantized result = quantized(nvfp4(), x, 16, tensor_scale);
    ASSERT_EQ(result.tensor.scales.data<std::uint8_t>()[0], scale) << line;
    for (std::size_t i = 0; i < 8; ++i)
      ASSERT_EQ(result.tensor.codes.data<std::uint8_t>()[i], std::stoul(packed.substr(2 * i, 2), nullptr, 16)) << line;
  }
  EXPECT_EQ(blocks, 200);
}

TEST(Nvfp4, DecodesRealBytes) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = testing::shared_data() / "nvfp4-interop-golden";
  const std::string packed = read_file(folder / "weight_packed.bin", "codes");
  const std::string scales = read_file(folder / "weight_scale.bin", "scales");
  const std::string values = read_file(folder / "dequant_f32.bin", "values");
  const std::string gguf = read_file(folder / "gguf_type40.bin", "GGUF blocks");
  QuantizedTensor q = QuantizedTensor::allocate(nvfp4(), 1, 512, std::bit_cast<float>(0x391e4cadu));
  std::ranges::copy(packed, reinterpret_cast<char*>(q.codes.raw()));
  std::ranges::copy(scales, reinterpret_cast<char*>(q.scales.raw()));
  std::vector<float> expected(512), decoded(512);
  std::memcpy(expected.data(), values.data(), values.size());
  dequantize_rows(q, 0, 1, decoded.data());
  expect_same_bits(decoded, expected);

  // GGUF: 64 values a block of 36 bytes; 4 scales, then 8 bytes a group, with column j + 8 in the high nibble.
  for (std::size_t col = 0; col < 512; ++col) {
    const std::size_t block = col / 64 * 36, group = col % 64 / 16, j = col % 16;
    const auto byte = static_cast<std::uint8_t>(gguf[block + 4 + 8 * group + j % 8]);
    ASSERT_EQ(gguf[block + group], scales[col / 16]);
    ASSERT_EQ(j < 8 ? byte & 15u : byte >> 4u,
              packed_code(q.codes.data<std::uint8_t>(), static_cast<std::int64_t>(col), 4));
  }
}

TEST(Nvfp4, ZeroTinyAndHugeBlocks) {
  std::vector<float> x(64, 0.0f);
  x[16] = 1e-30f, x[17] = -1e-30f, x[18] = -0.0f;      // far below the smallest block scale at tensor scale 1
  x[32] = 3000.0f, x[33] = -2688.0f, x[34] = 2689.0f;  // 2688 = 6·448 is the last that fits
  std::fill(x.begin() + 48, x.end(), -0.0f);
  const Quantized result = quantized(nvfp4(), x, 64, 1.0f);
  const auto* scales = result.tensor.scales.data<std::uint8_t>();
  EXPECT_EQ(scales[0], 0x38);
  EXPECT_EQ(scales[1], 0x01);
  EXPECT_EQ(scales[2], 0x7e);
  EXPECT_EQ(scales[3], 0x38);
  const auto* codes = result.tensor.codes.data<std::uint8_t>();
  EXPECT_EQ(codes[8], 0x80);  // +0, then a negative value that rounds to -0
  EXPECT_EQ(codes[9], 0x00);  // -0 has no sign bit
  EXPECT_EQ(codes[24], 0x00);
  EXPECT_EQ(result.values[32], 2688.0f);
  EXPECT_EQ(result.values[33], -2688.0f);
  EXPECT_EQ(result.statistics.saturated, 2);
  EXPECT_EQ(result.statistics.non_finite, 0);
}

TEST(Nvfp4, CountsWhatIsNotFinite) {
  std::vector<float> x(32, 1.0f);
  x[3] = std::numeric_limits<float>::infinity();
  x[20] = std::numeric_limits<float>::quiet_NaN();
  x[21] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(quantized(nvfp4(), x, 16, 1.0f).statistics.non_finite, 3);
  EXPECT_EQ(quantized(block_format("int8"), x, 16, 1.0f).statistics.non_finite, 3);
  EXPECT_FALSE(std::isfinite(amax(x.data(), 32)));
}

TEST(Nvfp4, EveryCodeUnderEveryScaleComesBack) {
  for (const float tensor_scale : {0x1p-100f, 0x1p-10f, 3.7e-4f, 1.0f, 0x1p116f})
    for (std::uint32_t scale_code = 1; scale_code < 0x7f; ++scale_code) {
      const float scale = kE4M3.value(scale_code) * tensor_scale;
      for (std::uint32_t code = 0; code < 16; ++code) {
        const float value = kE2M1.value(code) * scale;
        ASSERT_TRUE(std::isfinite(value));
        ASSERT_EQ(kE2M1.encode(value / scale), code) << scale_code << " " << tensor_scale;
      }
    }
}

TEST(Nvfp4, NoScaleByteIsZeroNegativeOrNaN) {
  const std::vector<float> x = difficult_values(256, 3);
  const Quantized result = quantized(nvfp4(), x, 256, 0x1p-20f);
  for (const std::uint8_t byte : result.tensor.scales.span<std::uint8_t>()) {
    ASSERT_GE(byte, 0x01);
    ASSERT_LE(byte, 0x7e);
  }
}

bool takes(const BlockFormat& format, std::int64_t cols, float tensor_scale) {
  return cols % format.block_size(cols) == 0 && (format.has_tensor_scale || tensor_scale == 1.0f);
}

std::vector<std::string> formats_with_fast_rows() {
  std::vector<std::string> names;
  for (const BlockFormat& format : block_formats())
    if (format.fast.quantize != nullptr) names.emplace_back(format.name);
  return names;
}

TEST(FastPaths, AreTheDefinitionBitForBit) {
  for (const char* name : {"nvfp4", "mxfp4", "fp8"}) EXPECT_NE(block_format(name).fast.quantize, nullptr) << name;
  for (const char* name : {"nvfp4", "mxfp4"}) EXPECT_NE(block_format(name).fast.dequantize, nullptr) << name;
  for (const std::string& name : formats_with_fast_rows())
    for (const std::int64_t cols : {16, 32, 48, 96, 1024, 1040, 2080, 2112})
      for (const float tensor_scale : {0x1p-100f, 0x1p-30f, 1.7e-3f, 0x1p-8f, 1.0f, 0x1p100f, 0x1p116f}) {
        if (!takes(block_format(name), cols, tensor_scale)) continue;
        const std::vector<float> x = difficult_values(cols, static_cast<std::uint64_t>(cols));
        const Quantized fast = quantized(block_format(name), x, cols, tensor_scale);
        expect_same(fast, quantized_by_reference(block_format(name), x, cols, tensor_scale));
        std::vector<float> decoded(x.size()), in_place = x;
        dequantize_rows(fast.tensor, 0, 16, decoded.data());
        expect_same_bits(decoded, fast.values);
        QuantizedTensor codes_only = QuantizedTensor::allocate(block_format(name), 16, cols, tensor_scale);
        quantize(x.data(), codes_only);
        EXPECT_EQ(bytes_of_tensor(codes_only.codes), bytes_of_tensor(fast.tensor.codes));
        quantize(in_place.data(), codes_only, in_place.data());
        expect_same_bits(in_place, fast.values);
      }
}

TEST(FastPaths, AreTheSameOnEveryInstructionSet) {
  const std::vector<float> x = difficult_values(1056, 11);
  for (const std::string& name : formats_with_fast_rows()) {
    const float tensor_scale = block_format(name).has_tensor_scale ? 0x1p-9f : 1.0f;
    const Quantized expected = quantized_by_reference(block_format(name), x, 1056, tensor_scale);
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      SCOPED_TRACE(hwy::TargetName(target));
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(target);
      std::vector<float> decoded(x.size());
      const Quantized fast = quantized(block_format(name), x, 1056, tensor_scale);
      expect_same(fast, expected);
      dequantize_rows(fast.tensor, 0, 16, decoded.data());
      expect_same_bits(decoded, expected.values);
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

TEST(FastPaths, DecodeEveryByteAsTheDefinition) {
  struct Case {
    const char* name;
    float tensor_scale;
    std::int64_t scale_codes;  // 0 as well: others may write it
  };
  for (const auto& [name, tensor_scale, scale_codes] : {Case{"nvfp4", 0.37f, 0x7f}, Case{"mxfp4", 1.0f, 0xff}}) {
    const BlockFormat& format = block_format(name);
    QuantizedTensor q = QuantizedTensor::allocate(format, 256, 512, tensor_scale);
    const std::int64_t blocks = q.scales.cols();
    for (std::int64_t i = 0; i < q.codes.size(); ++i) q.codes.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
    for (std::int64_t i = 0; i < q.scales.size(); ++i)
      q.scales.data<std::uint8_t>()[i] = static_cast<std::uint8_t>((i / blocks) % scale_codes);
    std::vector<float> fast(256 * 512), slow(fast.size());
    dequantize_rows(q, 0, 256, fast.data());
    for (std::int64_t row = 0; row < 256; ++row)
      reference::dequantize_row(format, tensor_scale, q.codes.data<std::uint8_t>() + row * 256,
                                q.scales.raw() + row * blocks, 512, slow.data() + row * 512);
    expect_same_bits(fast, slow);
  }
}

TEST(FastPaths, FlushToZeroAndThreadsChangeNothing) {
  const std::vector<float> x = difficult_values(1056, 7);
  for (const std::string name : {"nvfp4", "mxfp4"}) {
    const BlockFormat& format = block_format(name);
    const float tensor_scale = format.has_tensor_scale ? 0x1p-100f : 1.0f;
    const Quantized expected = quantized_by_reference(format, x, 1056, tensor_scale);
    set_threads(1);
#if defined(__SSE__)
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u);  // FTZ and DAZ
    const Quantized flushed = quantized(format, x, 1056, tensor_scale);
    const Quantized flushed_reference = quantized_by_reference(format, x, 1056, tensor_scale);
    _mm_setcsr(mode);
    expect_same(flushed, expected);
    expect_same(flushed_reference, expected);
#endif
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      expect_same(quantized(format, x, 1056, tensor_scale), expected);
    }
    set_threads(0);
  }
}

// 10·log10 of the squares of the originals over those of the differences.
double snr_db(const std::vector<float>& x, const std::vector<float>& decoded) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double value = x[i], difference = value - decoded[i];
    signal += value * value;
    noise += difference * difference;
  }
  return 10.0 * std::log10(signal / noise);
}

std::int64_t sign_flips(const std::vector<float>& x, const std::vector<float>& decoded) {
  std::int64_t flips = 0;
  for (std::size_t i = 0; i < x.size(); ++i) flips += x[i] * decoded[i] < 0.0f ? 1 : 0;
  return flips;
}

TEST(BlockFormats, EveryOneDecodesToWhatItSaid) {
  Random random(5, 1);
  std::vector<float> x(4 * 256);
  for (float& value : x) value = static_cast<float>(random.normal());
  for (const BlockFormat& format : block_formats()) {
    const float tensor_scale = tensor_scale_from_amax(format, amax(x.data(), 1024), TensorScaleRound::pow2);
    const Quantized result = quantized(format, x, 256, tensor_scale);
    std::vector<float> decoded(x.size());
    dequantize_rows(result.tensor, 1, 3, decoded.data());
    dequantize_rows(result.tensor, 0, 4, decoded.data());
    expect_same_bits(decoded, result.values);
    EXPECT_GT(snr_db(x, decoded), format.element->bits == 8 ? 25 : 15) << format.name;
    EXPECT_EQ(sign_flips(x, decoded), 0) << format.name;
    const double stored = 8.0 * static_cast<double>(result.tensor.bytes()) / static_cast<double>(x.size());
    EXPECT_DOUBLE_EQ(format.bits_per_weight(256), stored) << format.name;
    EXPECT_EQ(result.statistics.saturated, 0) << format.name;
  }
  EXPECT_EQ(nvfp4().bits_per_weight(64), 4.5);
  EXPECT_EQ(block_format("mxfp4").bits_per_weight(64), 4.25);
  EXPECT_EQ(block_format("int4_g128").bits_per_weight(128), 4.125);
  EXPECT_EQ(block_format("fp8").bits_per_weight(128), 8);
  EXPECT_THROW(static_cast<void>(block_format("nvfp5")), Error);
}

TEST(BlockFormats, Mxfp4TakesThePowerOfTwoBelow) {
  const BlockFormat& mxfp4 = block_format("mxfp4");
  EXPECT_EQ(block_scale(mxfp4, 4.0f, 1.0f).value, 1.0f);
  EXPECT_EQ(block_scale(mxfp4, 7.9f, 1.0f).value, 1.0f);  // clips to 6
  EXPECT_EQ(block_scale(mxfp4, 8.0f, 1.0f).value, 2.0f);
  EXPECT_EQ(block_scale(mxfp4, 0.0f, 1.0f).value, 1.0f);
  EXPECT_EQ(block_scale(mxfp4, 1e-40f, 1.0f).value, kSmallestScale);
}

TEST(TensorScale, FollowsTheAmax) {
  const auto pow2 = [](float amax) { return tensor_scale_from_amax(nvfp4(), amax, TensorScaleRound::pow2); };
  const auto none = [](float amax) { return tensor_scale_from_amax(nvfp4(), amax, TensorScaleRound::none); };
  EXPECT_EQ(none(1.0f), 1.0f / 2688.0f);
  EXPECT_EQ(pow2(2688.0f), 1.0f);
  EXPECT_EQ(pow2(std::nextafter(2688.0f, 3000.0f)), 2.0f);
  EXPECT_EQ(pow2(1.0f), 0x1p-11f);
  EXPECT_EQ(pow2(1e-38f), kSmallestScale);
  EXPECT_EQ(none(1e-45f), kSmallestScale);
  EXPECT_EQ(pow2(std::numeric_limits<float>::max()), kLargestTensorScale);
  EXPECT_EQ(pow2(0.0f), 1.0f);
  EXPECT_EQ(tensor_scale_from_amax(block_format("fp8"), 448.0f, TensorScaleRound::none), 1.0f);
  EXPECT_EQ(tensor_scale_from_amax(block_format("int8"), 448.0f, TensorScaleRound::none), 1.0f);
  EXPECT_EQ(nvfp4().saturation_limit(0.5f), 1344.0f);
}

TEST(TensorScale, TheAmaxItselfDoesNotSaturate) {
  const auto none = [](const BlockFormat& format, float amax) {
    return tensor_scale_from_amax(format, amax, TensorScaleRound::none);
  };
  for (const char* name : {"nvfp4", "fp8"}) {
    const BlockFormat& format = block_format(name);
    int rounded_away = 0;
    for (float amax = 1.0f; amax < 4.0f; amax += 0x1p-12f + 0x1p-22f) {
      const float scale = none(format, amax), limit = format.saturation_limit(scale);
      rounded_away += amax > scale * format.saturation_limit(1.0f);
      ASSERT_LE(amax, limit);
      ASSERT_EQ(none(format, limit), scale);  // the largest amax of this scale
      ASSERT_GT(none(format, std::nextafter(limit, 5.0f)), scale);
    }
    EXPECT_GT(rounded_away, 0) << name;
  }
  // 2688 · fl(amax/2688) is one step below this amax.
  const float amax = 1.68750036f;
  std::vector<float> x(16, 0.5f);
  x[3] = -amax;
  QuantizedTensor codes = QuantizedTensor::allocate(nvfp4(), 1, 16, none(nvfp4(), amax));
  ASSERT_LT(2688.0f * codes.tensor_scale, amax);
  EXPECT_EQ(quantize(x.data(), codes).saturated, 0);
  x[3] *= 1.001f;
  EXPECT_EQ(quantize(x.data(), codes).saturated, 1);
}

}  // namespace
}  // namespace qad
