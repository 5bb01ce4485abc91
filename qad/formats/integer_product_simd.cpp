// Compiled once for every instruction set (foreach_target includes this file again). All give the same bits: the sums
// of a block are integers, its term is exact, and a lane is a row of w, so that a sum goes in order of k everywhere.
#include "qad/formats/integer_product_simd.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "qad/formats/element.h"
#include "qad/formats/integer_product_reference.h"

// Unlike elsewhere, AVX3_DL is a target of its own: it has byte products that add up (VNNI).
#define HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS HWY_SSSE3
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "qad/formats/integer_product_simd.cpp"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

constexpr std::int64_t kGroup = 16, kColumns = 16;

void StoreRow(const float* sums, std::int64_t valid, double tensor_scales, float* out) {
  for (std::int64_t n = 0; n < valid; ++n) out[n] = reference::scaled_sum(static_cast<double>(sums[n]), tensor_scales);
}

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

// sum + the products of 16 columns, by row.
HWY_INLINE VI AddProducts(VI sum, const Columns& w, const std::int8_t* x) {
#if HWY_TARGET == HWY_AVX3_DL
  // Highway 1.0.3 has no name for it, and its target lacks the compiler's flag for the intrinsic.
  for (int i = 0; i < 4; ++i)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(w.of[i].raw), "v"(FourColumns(x + 4 * i).raw));
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
  static HWY_INLINE VF AddTerm(VF sum, VI products, VF scale, float x_scale) {
    return hn::MulAdd(hn::ConvertTo(DF(), products), hn::Mul(scale, hn::Set(DF(), x_scale)), sum);
  }
};

// E8M0: exponents, which add up; 255 and more is infinite, 0 and less is zero.
struct Exponents {
  static constexpr std::int64_t kParts = 2;
  static HWY_INLINE VF Decode(const std::uint8_t* codes) {
    const hn::Rebind<std::uint8_t, DI> bytes;
    return hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(bytes, codes)));
  }
  static HWY_INLINE VF AddTerm(VF sum, VI products, VF exponent, float x_exponent) {
    const VI both = hn::ConvertTo(DI(), hn::Add(exponent, hn::Set(DF(), x_exponent)));
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

  HWY_INLINE void Advance() { bytes += kBlockBytes; }
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

// The same with codes and scales as products take them, in memory that stays in the first cache: for many rows of x.
// A block is its scales [16] and codes [parts][4][64].
template <class Scales>
struct Expanded {
  static constexpr std::int64_t kParts = Scales::kParts, kScaleBytes = kGroup * 4;
  std::uint8_t* bytes;

  HWY_INLINE void Advance() { bytes += kScaleBytes + kParts * 256; }
  HWY_INLINE std::uint8_t* Codes(std::int64_t part, std::int64_t row) const {
    return bytes + kScaleBytes + part * 256 + 4 * row;
  }
  HWY_INLINE float* Scales16() const { return reinterpret_cast<float*>(bytes); }
  HWY_INLINE Columns Load(std::int64_t part, std::int64_t row) const {
    const std::uint8_t* const from = Codes(part, row);
    return {
        {hn::LoadU(DB(), from), hn::LoadU(DB(), from + 64), hn::LoadU(DB(), from + 128), hn::LoadU(DB(), from + 192)}};
  }
  HWY_INLINE VF Scale(std::int64_t row) const { return hn::LoadU(DF(), Scales16() + row); }
};

template <class Scales>
void Expand(Packed<Scales> group, std::int64_t blocks, Expanded<Scales> to) {
  for (; blocks > 0; --blocks, group.Advance(), to.Advance())
    for (std::int64_t row = 0; row < kGroup; row += kLanes) {
      for (std::int64_t part = 0; part < Scales::kParts; ++part) {
        const Columns columns = group.Load(part, row);
        for (int i = 0; i < 4; ++i) hn::StoreU(columns.of[i], DB(), to.Codes(part, row) + 64 * i);
      }
      hn::StoreU(group.Scale(row), DF(), to.Scales16() + row);
    }
}

// kRows of x times kWide vectors of rows of w, from `first` on; sums [kRows][16].
template <int kRows, int kWide, class Scales, class W>
HWY_INLINE void Tile(const ProductInputs& x, W w, std::int64_t first, std::int64_t blocks, float* HWY_RESTRICT sums) {
  constexpr std::int64_t kColumnsOfBlock = Scales::kParts * kColumns;
  const std::int64_t cols = blocks * kColumnsOfBlock;
  const std::int8_t* HWY_RESTRICT codes = x.codes;
  const std::int32_t* HWY_RESTRICT corrections = x.corrections;
  const float* HWY_RESTRICT scales = x.scales;
  VF total[kRows][kWide];
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kWide; ++v) total[m][v] = hn::Zero(DF());
  for (std::int64_t block = 0; block < blocks; ++block, w.Advance(), codes += kColumnsOfBlock) {
    for (int v = 0; v < kWide; ++v) {
      const std::int64_t row = first + v * kLanes;
      VI products[kRows];
      for (int m = 0; m < kRows; ++m) products[m] = hn::Set(DI(), corrections[m * blocks + block]);
      for (std::int64_t part = 0; part < Scales::kParts; ++part) {
        const Columns columns = w.Load(part, row);
        for (int m = 0; m < kRows; ++m)
          products[m] = AddProducts(products[m], columns, codes + part * kColumns + m * cols);
      }
      const VF scale = w.Scale(row);
      for (int m = 0; m < kRows; ++m)
        total[m][v] = Scales::AddTerm(total[m][v], products[m], scale, scales[m * blocks + block]);
    }
  }
  for (int m = 0; m < kRows; ++m)
    for (int v = 0; v < kWide; ++v) hn::StoreU(total[m][v], DF(), sums + m * kGroup + first + v * kLanes);
}

// The sums times a factor that a float holds: what StoreRow does, for whole vectors.
HWY_INLINE void StoreScaled(const float* sums, float factor, float* out) {
  for (std::int64_t n = 0; n < kGroup; n += kLanes) {
    const VF scaled = hn::Mul(hn::LoadU(DF(), sums + n), hn::Set(DF(), factor));
    const auto is_tiny = hn::Lt(hn::Abs(scaled), hn::Set(DF(), std::numeric_limits<float>::min()));
    hn::StoreU(hn::IfThenZeroElse(is_tiny, scaled), DF(), out + n);
  }
}

template <class Scales>
struct Group {
  ProductInputs x;
  const ProductExtents& extents;
  std::int64_t valid;
  float factor;  // tensor scales, if a float holds them
  bool factor_is_exact;
  float* out;

  template <int kRows, class W>
  HWY_INLINE void Multiply(const W& w) {
    alignas(64) float sums[kRows * kGroup];
    if constexpr (kRows == 1) {
      Tile<1, kVectors, Scales>(x, w, 0, extents.blocks, sums);
    } else {
      for (std::int64_t first = 0; first < kGroup; first += kLanes)
        Tile<kRows, 1, Scales>(x, w, first, extents.blocks, sums);
    }
    for (int m = 0; m < kRows; ++m, out += extents.out_stride) {
      if (valid == kGroup && factor_is_exact) StoreScaled(sums + m * kGroup, factor, out);
      else StoreRow(sums + m * kGroup, valid, extents.tensor_scales, out);
    }
    x = {x.codes + kRows * extents.cols, x.scales + kRows * extents.blocks, x.corrections + kRows * extents.blocks};
  }

  template <class W>
  void MultiplyAll(const W& w, std::int64_t rows) {
    for (; rows >= 4; rows -= 4) Multiply<4>(w);
    if (rows == 3) Multiply<3>(w);
    if (rows == 2) Multiply<2>(w);
    if (rows == 1) Multiply<1>(w);
  }
};

template <class Scales>
HWY_INLINE void MultiplyGroupWith(const ProductInputs& x, std::int64_t rows, const std::uint8_t* bytes,
                                  std::int64_t valid, const ProductExtents& extents, std::uint8_t* scratch,
                                  float* out) {
  constexpr std::int64_t kManyRows = 8;
  const auto factor = static_cast<float>(extents.tensor_scales);
  const bool exact = static_cast<double>(factor) == extents.tensor_scales &&
                     factor >= std::numeric_limits<float>::min() && factor <= std::numeric_limits<float>::max();
  Group<Scales> group{x, extents, valid, factor, exact, out};
  const Packed<Scales> packed{bytes};
  if (rows < kManyRows) return group.MultiplyAll(packed, rows);
  const Expanded<Scales> expanded{scratch};
  Expand(packed, extents.blocks, expanded);
  group.MultiplyAll(expanded, rows);
}

void MultiplyGroup(const ProductInputs& x, std::int64_t rows, const std::uint8_t* bytes, std::int64_t valid,
                   const ProductExtents& extents, std::uint8_t* scratch, float* out) {
  if (extents.powers_of_two) MultiplyGroupWith<Exponents>(x, rows, bytes, valid, extents, scratch, out);
  else MultiplyGroupWith<FloatScales>(x, rows, bytes, valid, extents, scratch, out);
}

// 16 columns; returns the sum of the doubled codes.
HWY_INLINE std::int32_t DoubleCodes(const std::uint8_t* packed, std::int8_t* doubled) {
  const hn::Full128<std::uint8_t> d;
  const hn::Full64<std::uint8_t> half;
  const auto both = hn::LoadU(half, packed);
  const auto low = hn::And(both, hn::Set(half, std::uint8_t{15}));
  const auto high = hn::And(hn::BitCast(half, hn::ShiftRight<4>(hn::BitCast(hn::Full64<std::uint16_t>(), both))),
                            hn::Set(half, std::uint8_t{15}));
  const auto codes = hn::InterleaveLower(d, hn::ZeroExtendVector(d, low), hn::ZeroExtendVector(d, high));
  const auto raised = hn::TableLookupBytes(hn::Load(d, kRaised), codes);
  const auto values = hn::BitCast(hn::Full128<std::int8_t>(), hn::Sub(raised, hn::Set(d, std::uint8_t{12})));
  hn::StoreU(values, hn::Full128<std::int8_t>(), doubled);
  const hn::Full128<std::uint64_t> d64;
  const auto total = hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(raised)));
  return static_cast<std::int32_t>(total) - 12 * static_cast<std::int32_t>(kColumns);
}

#else  // no byte products: the same sums one by one

constexpr std::int8_t kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void MultiplyGroup(const ProductInputs& x, std::int64_t rows, const std::uint8_t* bytes, std::int64_t valid,
                   const ProductExtents& extents, std::uint8_t* /*scratch*/, float* out) {
  const std::int64_t block_bytes = extents.parts * 128 + kGroup;
  for (std::int64_t m = 0; m < rows; ++m) {
    float sums[kGroup] = {};
    for (std::int64_t block = 0; block < extents.blocks; ++block) {
      const std::uint8_t* const group = bytes + block * block_bytes;
      const std::int8_t* const of_x = x.codes + m * extents.cols + block * extents.parts * kColumns;
      for (std::int64_t row = 0; row < valid; ++row) {
        std::int32_t products = 0;
        for (std::int64_t k = 0; k < extents.parts * kColumns; ++k) {
          const std::uint8_t both = group[k / 16 * 128 + k % 16 / 8 * 64 + 4 * row + k % 4];
          products += kDoubled[(k % 8 < 4 ? both : both >> 4) & 15] * of_x[k];
        }
        const std::uint8_t code = group[extents.parts * 128 + row];
        const float x_scale = x.scales[m * extents.blocks + block];
        const float scale =
            extents.powers_of_two
                ? reference::scale_product(block_format("mxfp4"), code, static_cast<std::uint32_t>(x_scale + 127.0f))
                : kE4M3.value(code) * x_scale;
        if (products != 0) sums[row] += static_cast<float>(products) * scale;
      }
    }
    StoreRow(sums, valid, extents.tensor_scales, out + m * extents.out_stride);
  }
}

std::int32_t DoubleCodes(const std::uint8_t* packed, std::int8_t* doubled) {
  std::int32_t sum = 0;
  for (std::int64_t k = 0; k < kColumns; ++k)
    sum += doubled[k] = kDoubled[(k % 2 == 0 ? packed[k / 2] : packed[k / 2] >> 4) & 15];
  return sum;
}

#endif

void PrepareInputs(const std::uint8_t* codes, const std::uint8_t* scales, const ProductExtents& extents,
                   const float* e4m3, std::int8_t* doubled, float* scale_values, std::int32_t* corrections) {
  for (std::int64_t block = 0; block < extents.blocks; ++block) {
    std::int32_t sum = 0;
    for (std::int64_t part = 0; part < extents.parts; ++part, codes += kColumns / 2, doubled += kColumns)
      sum += DoubleCodes(codes, doubled);
    corrections[block] = -12 * sum;
    scale_values[block] = extents.powers_of_two ? static_cast<float>(scales[block]) - 127.0f : e4m3[scales[block]];
  }
}

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::simd {

HWY_EXPORT(PrepareInputs);
HWY_EXPORT(MultiplyGroup);

void prepare_inputs(const std::uint8_t* codes, const std::uint8_t* scales, const ProductExtents& extents,
                    std::int8_t* doubled, float* scale_values, std::int32_t* corrections) {
  HWY_DYNAMIC_DISPATCH(PrepareInputs)
  (codes, scales, extents, value_table(kE4M3).data(), doubled, scale_values, corrections);
}

std::int64_t product_scratch_bytes(const ProductExtents& extents) {
  return extents.blocks * (extents.parts * 256 + 16 * static_cast<std::int64_t>(sizeof(float)));
}

void multiply_group(const ProductInputs& x, std::int64_t rows, const std::uint8_t* group, std::int64_t valid,
                    const ProductExtents& extents, std::uint8_t* scratch, float* out) {
  HWY_DYNAMIC_DISPATCH(MultiplyGroup)(x, rows, group, valid, extents, scratch, out);
}

}  // namespace qad::simd
#endif
