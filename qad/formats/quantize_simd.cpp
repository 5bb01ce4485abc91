// Compiled once for every instruction set (foreach_target includes this file again).
#include "qad/formats/quantize_simd.h"

#include <algorithm>
#include <bit>

#include "qad/formats/element.h"
#include "qad/formats/quantize_reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "qad/formats/quantize_simd.cpp"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "qad/formats/round_magnitude-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR  // no vectors: the definition itself

std::uint32_t AmaxBits(const float* x, std::int64_t count) {
  std::uint32_t result = 0;
  for (std::int64_t i = 0; i < count; ++i) result = std::max(result, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  return result;
}

std::uint32_t QuantizeNvfp4Row(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                               std::uint8_t* scales, float* values, bool /*stream*/) {
  reference::quantize_row(block_format("nvfp4"), tensor_scale, x, cols, codes, reinterpret_cast<std::byte*>(scales),
                          values);
  return AmaxBits(x, cols);
}

std::uint32_t QuantizeMxfp4Row(const float* x, std::int64_t cols, std::uint8_t* codes, std::uint8_t* scales,
                               float* values, bool /*stream*/) {
  reference::quantize_row(block_format("mxfp4"), 1.0f, x, cols, codes, reinterpret_cast<std::byte*>(scales), values);
  return AmaxBits(x, cols);
}

void DequantizeNvfp4Row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float tensor_scale,
                        const float* /*e4m3*/, float* out) {
  reference::dequantize_row(block_format("nvfp4"), tensor_scale, codes, reinterpret_cast<const std::byte*>(scales),
                            cols, out);
}

void DequantizeMxfp4Row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, const float* /*e8m0*/,
                        float* out) {
  reference::dequantize_row(block_format("mxfp4"), 1.0f, codes, reinterpret_cast<const std::byte*>(scales), cols, out);
}

void QuantizeFp8(const float* x, std::int64_t count, float tensor_scale, std::uint8_t* codes, float* values) {
  reference::quantize_row(block_format("fp8"), tensor_scale, x, count, codes, nullptr, values);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

// At most the 16 lanes of a block; at least 2, so that a pair of codes is in one vector.
using DF = hn::CappedTag<float, 16>;
using DU = hn::RebindToUnsigned<DF>;
using DI = hn::RebindToSigned<DF>;
using DPair = hn::Repartition<std::uint64_t, DU>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;

constexpr std::uint32_t kSignBit = 0x80000000u;
constexpr std::int64_t kGroup = 16;  // values with one scale in a vector: a block of NVFP4, half a block of MXFP4
constexpr std::int64_t kGroupsAtOnce = 64;  // their amaxes and scales wait in arrays on the stack

using Rounded = RoundedMagnitude<DF>;

// The sign bit where x < 0, by bits: -0 has none, a negative subnormal has one.
HWY_INLINE VU SignWhereNegative(VU x_bits) {
  const DU du;
  const VU sign = hn::Set(du, kSignBit);
  return hn::IfThenZeroElse(hn::Eq(x_bits, sign), hn::And(x_bits, sign));
}

HWY_INLINE VU MagnitudeBits(VU x_bits) { return hn::AndNot(hn::Set(DU(), kSignBit), x_bits); }

// Magnitude bits order as integers as the floats do, signed or not.
HWY_INLINE VU MaxMagnitude(VU a, VU b) {
  const DI di;
  return hn::BitCast(DU(), hn::Max(hn::BitCast(di, a), hn::BitCast(di, b)));
}
HWY_INLINE std::uint32_t LargestLane(VU magnitude) {
  const DI di;
  return static_cast<std::uint32_t>(hn::GetLane(hn::MaxOfLanes(di, hn::BitCast(di, magnitude))));
}

std::uint32_t AmaxBits(const float* HWY_RESTRICT x, std::int64_t count) {
  const DF df;
  const DU du;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  VU largest = hn::Zero(du);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    largest = MaxMagnitude(largest, MagnitudeBits(hn::BitCast(du, hn::LoadU(df, x + i))));
  std::uint32_t result = LargestLane(largest);
  for (; i < count; ++i) {
    result = std::max(result, std::bit_cast<std::uint32_t>(x[i]) & ~kSignBit);
  }
  return result;
}

// The amaxes of four vectors in each 128-bit part: part p of the result holds (max a_p, max b_p, max c_p, max d_p).
HWY_INLINE VU AmaxesOfParts(VU a, VU b, VU c, VU d) {
  const DU du;
  const DPair pair;
  const auto both = [&](VU even, VU odd) {
    return MaxMagnitude(hn::InterleaveLower(du, even, odd), hn::InterleaveUpper(du, even, odd));
  };
  const auto ab = hn::BitCast(pair, both(a, b)), cd = hn::BitCast(pair, both(c, d));
  return MaxMagnitude(hn::BitCast(du, hn::InterleaveLower(pair, ab, cd)),
                      hn::BitCast(du, hn::InterleaveUpper(pair, ab, cd)));
}

// The amaxes, as bits, of as many groups as a vector has lanes.
HWY_INLINE VU GroupAmaxes(const float* x) {
  const DF df;
  const DU du;
  constexpr std::int64_t kLanes = hn::MaxLanes(DF());
  const auto group = [&](std::int64_t index) {
    VU largest = MagnitudeBits(hn::BitCast(du, hn::LoadU(df, x + index * kGroup)));
    for (std::int64_t i = kLanes; i < kGroup; i += kLanes)
      largest = MaxMagnitude(largest, MagnitudeBits(hn::BitCast(du, hn::LoadU(df, x + index * kGroup + i))));
    return largest;
  };
  const auto four = [&](std::int64_t index) {
    return AmaxesOfParts(group(index), group(index + 1), group(index + 2), group(index + 3));
  };
  if constexpr (kLanes == 16) {
    const auto halves = [&](VU low, VU high) {
      const VU joined = MaxMagnitude(hn::ConcatLowerLower(du, high, low), hn::ConcatUpperUpper(du, high, low));
      return MaxMagnitude(joined, hn::SwapAdjacentBlocks(joined));
    };
    return hn::OddEvenBlocks(halves(four(4), four(12)), halves(four(0), four(8)));
  } else if constexpr (kLanes == 8) {
    const VU low = four(0), high = four(4);
    return MaxMagnitude(hn::ConcatLowerLower(du, high, low), hn::ConcatUpperUpper(du, high, low));
  } else {
    return four(0);
  }
}

// The scales of one vector of groups, from their amaxes: what is stored, one code a lane, and what values are divided
// by.
struct Scales {
  VU codes;
  VF values;
};

// Blocks of one group: E4M3, and E4M3 · tensor scale.
struct Nvfp4 {
  static constexpr std::int64_t kGroupsOfBlock = 1;
  float tensor_scale;

  HWY_INLINE Scales scales(VU amax) const {
    const DF df;
    const DU du;
    const VF sixfold = hn::Set(df, 6.0f * tensor_scale), largest = hn::Set(df, 448.0f);
    const Rounded rounded = RoundMagnitude<3, 7>(df, hn::Min(hn::Div(hn::BitCast(df, amax), sixfold), largest));
    const auto all_zero = hn::Eq(amax, hn::Zero(du));
    const VU code = hn::Max(rounded.code, hn::Set(du, 1u));
    const VF value = hn::Max(rounded.value, hn::Set(df, 0x1p-9f));
    return {hn::IfThenElse(all_zero, hn::Set(du, 0x38u), code),
            hn::Mul(hn::IfThenElse(hn::RebindMask(df, all_zero), hn::Set(df, 1.0f), value), hn::Set(df, tensor_scale))};
  }
};

// Blocks of two groups, which are neighbours in the vector: E8M0, an exponent as a float has it. It is that of the amax
// less 2, the exponent of E2M1's largest value.
struct Mxfp4 {
  static constexpr std::int64_t kGroupsOfBlock = 2;

  HWY_INLINE Scales scales(VU group_amax) const {
    const DU du;
    constexpr std::uint32_t kSmallest = std::bit_cast<std::uint32_t>(kSmallestScale) >> 23;
    const VU amax = MaxMagnitude(group_amax, hn::Reverse2(du, group_amax));
    const VU exponent = hn::Sub(hn::Max(hn::ShiftRight<23>(amax), hn::Set(du, kSmallest + 2)), hn::Set(du, 2u));
    const VU code = hn::IfThenElse(hn::Eq(amax, hn::Zero(du)), hn::Set(du, 127u), exponent);
    return {code, hn::BitCast(DF(), hn::ShiftLeft<23>(code))};
  }
};

// Codes with their sign in bit 3, one a lane, to half a byte each.
HWY_INLINE void StoreNibbles(VU codes, std::uint8_t* out) {
  const DPair pair;
  const hn::Rebind<std::uint8_t, DPair> bytes;
  const auto both = hn::BitCast(pair, codes);
  hn::StoreU(hn::TruncateTo(bytes, hn::And(hn::Or(both, hn::ShiftRight<28>(both)), hn::Set(pair, 0xffu))), bytes, out);
}

enum class Values { none, stored, streamed };

template <Values kind, class Format>
std::uint32_t QuantizeFp4(Format format, const float* HWY_RESTRICT x, std::int64_t cols,
                          std::uint8_t* HWY_RESTRICT codes, std::uint8_t* HWY_RESTRICT scales,
                          float* HWY_RESTRICT values) {
  const DF df;
  const DU du;
  const hn::Rebind<std::uint8_t, DF> bytes;
  constexpr std::int64_t kGroupsOfBlock = Format::kGroupsOfBlock;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  HWY_ALIGN float group_scales[kGroupsAtOnce];
  HWY_ALIGN std::uint8_t scale_codes[kGroupsAtOnce];
  VU largest = hn::Zero(du);
  for (std::int64_t first = 0; first < cols / kGroup; first += kGroupsAtOnce) {
    const std::int64_t groups = std::min(kGroupsAtOnce, cols / kGroup - first);
    const auto store_scales = [&](std::int64_t group, VU amaxes) HWY_ATTR {
      largest = MaxMagnitude(largest, amaxes);
      const Scales found = format.scales(amaxes);
      hn::StoreU(hn::TruncateTo(bytes, found.codes), bytes, scale_codes + group);
      hn::Store(found.values, df, group_scales + group);
    };
    std::int64_t group = 0;
    for (; group + lanes <= groups; group += lanes) store_scales(group, GroupAmaxes(x + (first + group) * kGroup));
    if (group < groups) {
      HWY_ALIGN float rest[kGroup * hn::MaxLanes(DF())] = {};
      std::copy_n(x + (first + group) * kGroup, (groups - group) * kGroup, rest);
      store_scales(group, GroupAmaxes(rest));
    }
    for (std::int64_t block = 0; block < groups / kGroupsOfBlock; ++block)
      scales[first / kGroupsOfBlock + block] = scale_codes[block * kGroupsOfBlock];
    for (group = 0; group < groups; ++group) {
      const VF scale = hn::Set(df, group_scales[group]);
      for (std::int64_t i = 0; i < kGroup; i += lanes) {
        const std::int64_t col = (first + group) * kGroup + i;
        const VU bits = hn::BitCast(du, hn::LoadU(df, x + col));
        const VU sign = SignWhereNegative(bits);
        const VF ratio = hn::Div(hn::BitCast(df, MagnitudeBits(bits)), scale);
        const Rounded rounded = RoundMagnitude<1, 1>(df, hn::Min(ratio, hn::Set(df, 6.0f)));
        StoreNibbles(hn::Or(rounded.code, hn::ShiftRight<28>(sign)), codes + col / 2);
        if constexpr (kind == Values::none) continue;
        const VF value = hn::Or(hn::Mul(rounded.value, scale), hn::BitCast(df, sign));
        if constexpr (kind == Values::stored) hn::StoreU(value, df, values + col);
        if constexpr (kind == Values::streamed) hn::Stream(value, df, values + col);
      }
    }
  }
  return LargestLane(largest);
}

template <class Format>
std::uint32_t QuantizeFp4Row(Format format, const float* x, std::int64_t cols, std::uint8_t* codes,
                             std::uint8_t* scales, float* values, bool stream) {
  if (values == nullptr) return QuantizeFp4<Values::none>(format, x, cols, codes, scales, values);
  return stream ? QuantizeFp4<Values::streamed>(format, x, cols, codes, scales, values)
                : QuantizeFp4<Values::stored>(format, x, cols, codes, scales, values);
}

std::uint32_t QuantizeNvfp4Row(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                               std::uint8_t* scales, float* values, bool stream) {
  return QuantizeFp4Row(Nvfp4{tensor_scale}, x, cols, codes, scales, values, stream);
}

std::uint32_t QuantizeMxfp4Row(const float* x, std::int64_t cols, std::uint8_t* codes, std::uint8_t* scales,
                               float* values, bool stream) {
  return QuantizeFp4Row(Mxfp4{}, x, cols, codes, scales, values, stream);
}

// E2M1 codes in the low four bits of each lane to floats. From code 2 on, exponent and mantissa only need their place;
// 0 and 1 are 0 and 0.5.
HWY_INLINE VF DecodeE2M1(VU nibble) {
  const DF df;
  const DU du;
  const VU magnitude = hn::And(nibble, hn::Set(du, 7u));
  const VU normal = hn::Add(hn::ShiftLeft<22>(magnitude), hn::Set(du, 126u << 23));
  const VU subnormal = hn::And(hn::Sub(hn::Zero(du), magnitude), hn::Set(du, 0x3f000000u));
  const VU value = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 1u)), normal, subnormal);
  return hn::BitCast(df, hn::Or(value, hn::ShiftLeft<28>(hn::AndNot(hn::Set(du, 7u), nibble))));
}

// `scale_of` has the value of each scale code.
template <std::int64_t groups_of_block>
void DequantizeFp4Row(const std::uint8_t* HWY_RESTRICT codes, const std::uint8_t* HWY_RESTRICT scales,
                      std::int64_t cols, float tensor_scale, const float* HWY_RESTRICT scale_of,
                      float* HWY_RESTRICT out) {
  const DF df;
  const DU du;
  const DPair pair;
  const hn::Rebind<std::uint8_t, DPair> bytes;
  const hn::Rebind<std::uint32_t, DPair> half;
  const auto low_nibbles = hn::BitCast(pair, hn::Set(du, 15u));
  for (std::int64_t group = 0; group < cols / kGroup; ++group) {
    const VF scale = hn::Set(df, scale_of[scales[group / groups_of_block]] * tensor_scale);
    for (std::int64_t i = 0; i < kGroup; i += static_cast<std::int64_t>(hn::Lanes(df))) {
      const std::int64_t col = group * kGroup + i;
      const auto both = hn::PromoteTo(pair, hn::PromoteTo(half, hn::LoadU(bytes, codes + col / 2)));
      const VU nibble = hn::BitCast(du, hn::And(hn::Or(both, hn::ShiftLeft<28>(both)), low_nibbles));
      hn::StoreU(hn::Mul(DecodeE2M1(nibble), scale), df, out + col);
    }
  }
}

void DequantizeNvfp4Row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float tensor_scale,
                        const float* e4m3, float* out) {
  DequantizeFp4Row<Nvfp4::kGroupsOfBlock>(codes, scales, cols, tensor_scale, e4m3, out);
}

void DequantizeMxfp4Row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, const float* e8m0,
                        float* out) {
  DequantizeFp4Row<Mxfp4::kGroupsOfBlock>(codes, scales, cols, 1.0f, e8m0, out);
}

// One vector of x.
HWY_INLINE void QuantizeFp8Vector(const float* x, VF scale, std::uint8_t* codes, float* values) {
  const DF df;
  const DU du;
  const hn::Rebind<std::uint8_t, DF> bytes;
  const VU bits = hn::BitCast(du, hn::LoadU(df, x));
  const VU sign = SignWhereNegative(bits);
  const VF ratio = hn::Div(hn::BitCast(df, MagnitudeBits(bits)), scale);
  const Rounded rounded = RoundMagnitude<3, 7>(df, hn::Min(ratio, hn::Set(df, 448.0f)));
  hn::StoreU(hn::TruncateTo(bytes, hn::Or(rounded.code, hn::ShiftRight<24>(sign))), bytes, codes);
  if (values) hn::StoreU(hn::Or(hn::Mul(rounded.value, scale), hn::BitCast(df, sign)), df, values);
}

void QuantizeFp8(const float* x, std::int64_t count, float tensor_scale, std::uint8_t* codes, float* values) {
  const DF df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  const VF scale = hn::Set(df, tensor_scale);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) QuantizeFp8Vector(x + i, scale, codes + i, values ? values + i : nullptr);
  if (i == count) return;
  float rest[16] = {};
  std::uint8_t rest_codes[16];
  std::copy_n(x + i, count - i, rest);
  QuantizeFp8Vector(rest, scale, rest_codes, rest);
  std::copy_n(rest_codes, count - i, codes + i);
  if (values) std::copy_n(rest, count - i, values + i);
}

#endif  // HWY_SCALAR

void UpperHalves(const float* HWY_RESTRICT x, std::int64_t count, std::uint16_t* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x[i]) >> 16);
}

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::simd {

HWY_EXPORT(AmaxBits);
HWY_EXPORT(QuantizeNvfp4Row);
HWY_EXPORT(DequantizeNvfp4Row);
HWY_EXPORT(QuantizeMxfp4Row);
HWY_EXPORT(DequantizeMxfp4Row);
HWY_EXPORT(QuantizeFp8);
HWY_EXPORT(UpperHalves);

std::uint32_t amax_bits(const float* x, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(AmaxBits)(x, count); }

std::uint32_t quantize_nvfp4_row(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                                 std::uint8_t* scales, float* values, bool stream) {
  return HWY_DYNAMIC_DISPATCH(QuantizeNvfp4Row)(x, cols, tensor_scale, codes, scales, values, stream);
}

void dequantize_nvfp4_row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols, float tensor_scale,
                          float* out) {
  HWY_DYNAMIC_DISPATCH(DequantizeNvfp4Row)(codes, scales, cols, tensor_scale, value_table(kE4M3).data(), out);
}

std::uint32_t quantize_mxfp4_row(const float* x, std::int64_t cols, float /*tensor_scale*/, std::uint8_t* codes,
                                 std::uint8_t* scales, float* values, bool stream) {
  return HWY_DYNAMIC_DISPATCH(QuantizeMxfp4Row)(x, cols, codes, scales, values, stream);
}

void dequantize_mxfp4_row(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t cols,
                          float /*tensor_scale*/, float* out) {
  HWY_DYNAMIC_DISPATCH(DequantizeMxfp4Row)(codes, scales, cols, value_table(kE8M0).data(), out);
}

std::uint32_t quantize_fp8_row(const float* x, std::int64_t cols, float tensor_scale, std::uint8_t* codes,
                               std::uint8_t* /*scales*/, float* values, bool /*stream*/) {
  HWY_DYNAMIC_DISPATCH(QuantizeFp8)(x, cols, tensor_scale, codes, values);
  return amax_bits(x, cols);
}

void upper_halves(const float* x, std::int64_t count, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(UpperHalves)(x, count, out);
}

}  // namespace qad::simd
#endif
