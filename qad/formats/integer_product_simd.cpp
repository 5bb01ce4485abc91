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
#include <hwy/foreach_target.h>

#include "qad/formats/integer_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

void StoreRow(const float* sums, std::int64_t valid, double tensor_scales, float* out) {
  for (std::int64_t n = 0; n < valid; ++n) out[n] = reference::scaled_sum(static_cast<double>(sums[n]), tensor_scales);
}

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

// A Packed group with codes and scales as products take them, in memory that stays in the first cache: for many rows of
// x. A block is its scales [16] and codes [parts][4][64].
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
        total[m][v] = Scales::AddTerm(total[m][v], products[m], scale, hn::Set(DF(), scales[m * blocks + block]));
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

// Both tensor scales, multiplied to sums at the end.
struct TensorScales {
  explicit TensorScales(const ProductExtents& extents)
      : exact(extents.tensor_scales), factor(static_cast<float>(extents.tensor_scales)) {
    factor_is_exact = static_cast<double>(factor) == exact && factor >= std::numeric_limits<float>::min() &&
                      factor <= std::numeric_limits<float>::max();
  }
  HWY_INLINE void Store(const float* sums, std::int64_t valid, float* out) const {
    if (valid == kGroup && factor_is_exact) StoreScaled(sums, factor, out);
    else StoreRow(sums, valid, exact, out);
  }

  double exact;
  float factor;  // if a float holds them
  bool factor_is_exact;
};

constexpr std::int64_t kManyRows = 8;  // of x: worth having the codes of w expanded once for all

template <class Scales>
struct Group {
  ProductInputs x;
  const ProductExtents& extents;
  std::int64_t valid;
  TensorScales factor;
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
      factor.Store(sums + m * kGroup, valid, out);
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

// Many rows where a vector holds a group: every four columns of x that are loaded meet the rows of two groups, since
// it is loads that such a product waits for. Some columns at a time, so that the groups stay in the first cache.
template <class Scales>
struct PairOfGroups {
  static constexpr std::int64_t kParts = Scales::kParts;
  static constexpr std::int64_t kBlocks = 512 / (kParts * kColumns);  // at a time
  static constexpr std::int64_t kBlockBytes = kGroup * 4 + kParts * 256;

  // kRows of x, whose blocks begin at `block`, times expanded groups; sums [kRows][2][16].
  template <int kRows, int kGroups>
  static HWY_INLINE void Add(const ProductInputs& x, const ProductExtents& extents, std::int64_t block,
                             std::int64_t count, const std::uint8_t* expanded, float* HWY_RESTRICT sums) {
    VF total[kRows][kGroups];
    for (int m = 0; m < kRows; ++m)
      for (int g = 0; g < kGroups; ++g) total[m][g] = hn::LoadU(DF(), sums + (m * kProductGroups + g) * kGroup);
    const std::int8_t* HWY_RESTRICT codes = x.codes + block * kParts * kColumns;
    const std::int32_t* HWY_RESTRICT corrections = x.corrections + block;
    const float* HWY_RESTRICT scales = x.scales + block;
    for (std::int64_t b = 0; b < count; ++b, codes += kParts * kColumns, expanded += kGroups * kBlockBytes) {
      VI products[kRows][kGroups];
      for (int m = 0; m < kRows; ++m) {
        const VI correction = hn::Set(DI(), corrections[m * extents.blocks + b]);
        for (int g = 0; g < kGroups; ++g) products[m][g] = correction;
      }
      for (std::int64_t part = 0; part < kParts; ++part) {
        const std::uint8_t* const w = expanded + kGroup * 4 + part * 256;
        const std::int8_t* const of_x = codes + part * kColumns;
#if HWY_TARGET == HWY_AVX3_DL
        for (int i = 0; i < 4; ++i) {
          VB four[kGroups];
          for (int g = 0; g < kGroups; ++g) four[g] = hn::LoadU(DB(), w + g * kBlockBytes + 64 * i);
          for (int m = 0; m < kRows; ++m) {
            const VB columns = FourColumns(of_x + m * extents.cols + 4 * i);
            for (int g = 0; g < kGroups; ++g) AddFour(products[m][g], four[g], columns);
          }
        }
#else
        for (int g = 0; g < kGroups; ++g) {
          const std::uint8_t* const own = w + g * kBlockBytes;
          const Columns columns = {{hn::LoadU(DB(), own), hn::LoadU(DB(), own + 64), hn::LoadU(DB(), own + 128),
                                    hn::LoadU(DB(), own + 192)}};
          for (int m = 0; m < kRows; ++m)
            products[m][g] = AddProducts(products[m][g], columns, of_x + m * extents.cols);
        }
#endif
      }
      VF scale[kGroups];
      for (int g = 0; g < kGroups; ++g)
        scale[g] = hn::LoadU(DF(), reinterpret_cast<const float*>(expanded + g * kBlockBytes));
      for (int m = 0; m < kRows; ++m) {
        const VF x_scale = hn::Set(DF(), scales[m * extents.blocks + b]);
        for (int g = 0; g < kGroups; ++g) total[m][g] = Scales::AddTerm(total[m][g], products[m][g], scale[g], x_scale);
      }
    }
    for (int m = 0; m < kRows; ++m)
      for (int g = 0; g < kGroups; ++g) hn::StoreU(total[m][g], DF(), sums + (m * kProductGroups + g) * kGroup);
  }

  template <int kGroups>
  static void Multiply(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups, std::int64_t stride,
                       const ProductExtents& extents, std::uint8_t* scratch, float* sums) {
    for (std::int64_t block = 0; block < extents.blocks; block += kBlocks) {
      const std::int64_t count = std::min(kBlocks, extents.blocks - block);
      for (int g = 0; g < kGroups; ++g) {
        Packed<Scales> packed{groups + g * stride + block * Packed<Scales>::kBlockBytes};
        std::uint8_t* to = scratch + g * kBlockBytes;
        for (std::int64_t b = 0; b < count; ++b, packed.Advance(), to += kGroups * kBlockBytes) {
          hn::StoreU(packed.Scale(0), DF(), reinterpret_cast<float*>(to));
          for (std::int64_t part = 0; part < kParts; ++part) {
            const Columns columns = packed.Load(part, 0);
            for (int i = 0; i < 4; ++i) hn::StoreU(columns.of[i], DB(), to + kGroup * 4 + part * 256 + 64 * i);
          }
        }
      }
      ProductInputs some = x;
      float* of_rows = sums;
      const auto add = [&](auto number) HWY_ATTR {
        constexpr int kRows = decltype(number)::value;
        Add<kRows, kGroups>(some, extents, block, count, scratch, of_rows);
        some = {some.codes + kRows * extents.cols, some.scales + kRows * extents.blocks,
                some.corrections + kRows * extents.blocks};
        of_rows += kRows * kProductGroups * kGroup;
      };
      std::int64_t left = rows;
      for (; left >= 4; left -= 4) add(std::integral_constant<int, 4>());
      for (; left > 0; --left) add(std::integral_constant<int, 1>());
    }
  }
};

template <class Scales>
HWY_INLINE void MultiplyGroupWith(const ProductInputs& x, std::int64_t rows, const std::uint8_t* bytes,
                                  std::int64_t valid, const ProductExtents& extents, std::uint8_t* scratch,
                                  float* out) {
  Group<Scales> group{x, extents, valid, TensorScales(extents), out};
  const Packed<Scales> packed{bytes};
  if (rows < kManyRows) return group.MultiplyAll(packed, rows);
  const Expanded<Scales> expanded{scratch};
  Expand(packed, extents.blocks, expanded);
  group.MultiplyAll(expanded, rows);
}

template <class Scales>
HWY_INLINE void MultiplyGroupsWith(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups,
                                   std::int64_t stride, std::int64_t valid, const ProductExtents& extents,
                                   std::uint8_t* scratch, float* out) {
  if (kVectors == 1 && rows >= kManyRows) {
    alignas(64) float sums[kProductRows * kProductGroups * kGroup];
    std::fill_n(sums, rows * kProductGroups * kGroup, 0.0f);
    if (valid > kGroup) PairOfGroups<Scales>::template Multiply<2>(x, rows, groups, stride, extents, scratch, sums);
    else PairOfGroups<Scales>::template Multiply<1>(x, rows, groups, stride, extents, scratch, sums);
    const TensorScales factor(extents);
    for (std::int64_t m = 0; m < rows; ++m)
      for (std::int64_t first = 0; first < valid; first += kGroup)
        factor.Store(sums + m * kProductGroups * kGroup + first, std::min(kGroup, valid - first),
                     out + m * extents.out_stride + first);
    return;
  }
  for (std::int64_t first = 0; first < valid; first += kGroup, groups += stride)
    MultiplyGroupWith<Scales>(x, rows, groups, std::min(kGroup, valid - first), extents, scratch, out + first);
}

void MultiplyGroups(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups, std::int64_t stride,
                    std::int64_t valid, const ProductExtents& extents, std::uint8_t* scratch, float* out) {
  if (extents.powers_of_two) MultiplyGroupsWith<Exponents>(x, rows, groups, stride, valid, extents, scratch, out);
  else MultiplyGroupsWith<FloatScales>(x, rows, groups, stride, valid, extents, scratch, out);
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
                   const ProductExtents& extents, float* out) {
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

void MultiplyGroups(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups, std::int64_t stride,
                    std::int64_t valid, const ProductExtents& extents, std::uint8_t* /*scratch*/, float* out) {
  for (std::int64_t first = 0; first < valid; first += kGroup, groups += stride)
    MultiplyGroup(x, rows, groups, std::min(kGroup, valid - first), extents, out + first);
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
HWY_EXPORT(MultiplyGroups);

void prepare_inputs(const std::uint8_t* codes, const std::uint8_t* scales, const ProductExtents& extents,
                    std::int8_t* doubled, float* scale_values, std::int32_t* corrections) {
  HWY_DYNAMIC_DISPATCH(PrepareInputs)
  (codes, scales, extents, value_table(kE4M3).data(), doubled, scale_values, corrections);
}

std::int64_t product_scratch_bytes(const ProductExtents& extents) {
  constexpr std::int64_t kBlocksOfPair = 64;  // PairOfGroups: two groups of 512 columns
  return std::max(extents.blocks, kBlocksOfPair) *
         (extents.parts * 256 + 16 * static_cast<std::int64_t>(sizeof(float)));
}

void multiply_groups(const ProductInputs& x, std::int64_t rows, const std::uint8_t* groups, std::int64_t stride,
                     std::int64_t valid, const ProductExtents& extents, std::uint8_t* scratch, float* out) {
  HWY_DYNAMIC_DISPATCH(MultiplyGroups)(x, rows, groups, stride, valid, extents, scratch, out);
}

}  // namespace qad::simd
#endif
