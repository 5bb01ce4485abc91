// What products from codes read: codes and scales of a group of rows as vectors, a lane a row, and how they meet four
// columns of x. Compiled once for each instruction set, like autograd/kernels/simd-inl.h.
#if defined(QAD_FORMATS_INTEGER_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_FORMATS_INTEGER_PRODUCT_INL_H_
#undef QAD_FORMATS_INTEGER_PRODUCT_INL_H_
#else
#define QAD_FORMATS_INTEGER_PRODUCT_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

constexpr std::int64_t kGroup = 16, kColumns = 16;

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, kGroup>;
using DI = hn::RebindToSigned<DF>;
using DB = hn::Repartition<std::uint8_t, DF>;
using DS = hn::Repartition<std::int16_t, DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using VB = hn::Vec<DB>;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(HWY_MIN(HWY_LANES(float), std::size_t{kGroup}));
constexpr int kVectors = static_cast<int>(kGroup / kLanes);  // of a group

// Doubled values of the E2M1 codes, + 12.
alignas(16) constexpr std::uint8_t kRaised[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// 16 columns of a vector's rows: codes + 12, four columns in each.
struct Columns {
  VB of[4];
};

// Pairs of products of unsigned and signed bytes as 16 bits, which hold four such sums: 4·2·24·12 = 2304.
HWY_INLINE hn::Vec<DS> PairProducts(VB w, VB x) {
#if HWY_TARGET == HWY_SSE4
  return hn::Vec<DS>{_mm_maddubs_epi16(w.raw, x.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::Vec<DS>{_mm256_maddubs_epi16(w.raw, x.raw)};
#else
  return hn::Vec<DS>{_mm512_maddubs_epi16(w.raw, x.raw)};
#endif
}

HWY_INLINE VI SumsOfPairs(hn::Vec<DS> v) {
  const auto ones = hn::Set(DS(), std::int16_t{1});
#if HWY_TARGET == HWY_SSE4
  return VI{_mm_madd_epi16(v.raw, ones.raw)};
#elif HWY_TARGET == HWY_AVX2
  return VI{_mm256_madd_epi16(v.raw, ones.raw)};
#else
  return VI{_mm512_madd_epi16(v.raw, ones.raw)};
#endif
}

HWY_INLINE VB FourColumns(const std::int8_t* x) {
  std::int32_t columns = 0;
  std::memcpy(&columns, x, 4);
  return hn::BitCast(DB(), hn::Set(DI(), columns));
}

#if HWY_TARGET == HWY_AVX3_DL
// Highway 1.0.3 has no name for it, and its target lacks the compiler's flag for the intrinsic.
HWY_INLINE void AddFour(VI& sum, VB w, VB x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
}
#endif

// sum + the products of 16 columns, by row.
HWY_INLINE VI AddProducts(VI sum, const Columns& w, const std::int8_t* x) {
#if HWY_TARGET == HWY_AVX3_DL
  for (int i = 0; i < 4; ++i) AddFour(sum, w.of[i], FourColumns(x + 4 * i));
  return sum;
#else
  const auto low = hn::Add(PairProducts(w.of[0], FourColumns(x)), PairProducts(w.of[1], FourColumns(x + 4)));
  const auto high = hn::Add(PairProducts(w.of[2], FourColumns(x + 8)), PairProducts(w.of[3], FourColumns(x + 12)));
  return hn::Add(sum, SumsOfPairs(hn::Add(low, high)));
#endif
}

// What the scales of a block are multiplied to. E4M3: bits, with the exponent moved; for subnormals a number of one
// binade less its first, since FP32's own subnormals may count as zero.
struct FloatScales {
  static constexpr std::int64_t kParts = 1;  // of 16 columns in a block
  static HWY_INLINE VF Decode(const std::uint8_t* codes) {
    const hn::Rebind<std::uint8_t, DI> bytes;
    const VI code = hn::PromoteTo(DI(), hn::LoadU(bytes, codes));
    const VI bits = hn::ShiftLeft<20>(code);
    const VF normal = hn::BitCast(DF(), hn::Add(bits, hn::Set(DI(), 120 << 23)));
    const VF raised = hn::BitCast(DF(), hn::Add(bits, hn::Set(DI(), 121 << 23)));
    const auto is_small = hn::Lt(code, hn::Set(DI(), 8));
    return hn::IfThenElse(hn::RebindMask(DF(), is_small), hn::Sub(raised, hn::Set(DF(), 0x1p-6f)), normal);
  }
  static HWY_INLINE VF AddTerm(VF sum, VI products, VF scale, VF x_scale) {
    return hn::MulAdd(hn::ConvertTo(DF(), products), hn::Mul(scale, x_scale), sum);
  }
};

// E8M0: exponents, which add up; 255 and more is infinite, 0 and less is zero.
struct Exponents {
  static constexpr std::int64_t kParts = 2;
  static HWY_INLINE VF Decode(const std::uint8_t* codes) {
    const hn::Rebind<std::uint8_t, DI> bytes;
    return hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(bytes, codes)));
  }
  static HWY_INLINE VF AddTerm(VF sum, VI products, VF exponent, VF x_exponent) {
    const VI both = hn::ConvertTo(DI(), hn::Add(exponent, x_exponent));
    const VI biased = hn::Min(hn::Max(both, hn::Zero(DI())), hn::Set(DI(), 255));
    const VF term = hn::Mul(hn::ConvertTo(DF(), products), hn::BitCast(DF(), hn::ShiftLeft<23>(biased)));
    return hn::Add(sum, hn::IfThenZeroElse(hn::RebindMask(DF(), hn::Eq(products, hn::Zero(DI()))), term));
  }
};

// A group as it is stored, from some block on.
template <class Scales>
struct Packed {
  static constexpr std::int64_t kParts = Scales::kParts, kBlockBytes = kParts * 128 + kGroup;
  const std::uint8_t* bytes;

  HWY_INLINE void Advance() {
    for (std::int64_t line = 0; line < kBlockBytes; line += 64) hwy::Prefetch(bytes + 2048 + line);
    bytes += kBlockBytes;
  }
  HWY_INLINE Columns Load(std::int64_t part, std::int64_t row) const {
    const std::uint8_t* const codes = bytes + 128 * part + 4 * row;
    const VB low = hn::Set(DB(), std::uint8_t{15}), table = hn::LoadDup128(DB(), kRaised);
    const hn::RepartitionToWide<DB> wide;
    Columns result;
    for (int half = 0; half < 2; ++half) {
      const VB both = hn::LoadU(DB(), codes + 64 * half);
      const VB high = hn::BitCast(DB(), hn::ShiftRight<4>(hn::BitCast(wide, both)));
      result.of[2 * half] = hn::TableLookupBytes(table, hn::And(both, low));
      result.of[2 * half + 1] = hn::TableLookupBytes(table, hn::And(high, low));
    }
    return result;
  }
  HWY_INLINE VF Scale(std::int64_t row) const { return Scales::Decode(bytes + 128 * kParts + row); }
};

#endif

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
