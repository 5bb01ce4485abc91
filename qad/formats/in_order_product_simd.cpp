// Codes become floats in registers, a lane being a row, and are multiplied in order of k.
#include "qad/formats/in_order_product_simd.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "autograd/kernels/simd_targets.h"
#include "qad/formats/element.h"
#include "qad/formats/pack.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "qad/formats/in_order_product_simd.cpp"
#include <hwy/foreach_target.h>

#include "autograd/kernels/gemm_in_order-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace in_order = qad::kernels::HWY_NAMESPACE;
constexpr std::int64_t kGroup = in_order::kGroup;

// The scale of one row's block, that of the tensor included.
float ScaleOf(const RowsOfCodes& rows, std::int64_t row, std::int64_t block) {
  if (rows.scales == nullptr) return rows.tensor_scale;
  const ElementType& scale = *rows.format->scale;
  const auto bytes = static_cast<std::size_t>(scale.bits / 8);
  std::uint32_t code = 0;
  std::memcpy(&code, rows.scales + row * rows.scale_stride + block * scale.bits / 8, bytes);
  return scale.value(code) * rows.tensor_scale;
}

#if HWY_TARGET != HWY_SCALAR

using in_order::kSquare;
using in_order::Square;
using Bits = hn::RebindToUnsigned<Square>;
using VF = hn::Vec<Square>;

// Codes of a byte from `column` on.
HWY_INLINE hn::Vec<Bits> LoadBytes(const std::uint8_t* row, std::int64_t column) {
  return hn::PromoteTo(Bits(), hn::LoadU(hn::Rebind<std::uint8_t, Square>(), row + column));
}
// Two in a byte; `column` is even.
HWY_INLINE hn::Vec<Bits> LoadNibbles(const std::uint8_t* row, std::int64_t column) {
  const hn::RepartitionToWide<Bits> pair;
  const hn::Rebind<std::uint8_t, decltype(pair)> bytes;
  const hn::Rebind<std::uint32_t, decltype(pair)> half;
  const auto both = hn::PromoteTo(pair, hn::PromoteTo(half, hn::LoadU(bytes, row + column / 2)));
  const auto low = hn::BitCast(pair, hn::Set(Bits(), 15u));
  return hn::BitCast(Bits(), hn::And(hn::Or(both, hn::ShiftLeft<28>(both)), low));
}

struct Fp8 {
  // The exponent is moved; for subnormals a number of one binade less its first, since FP32's own may count as zero.
  static HWY_INLINE VF Load(const std::uint8_t* row, std::int64_t column) {
    const auto code = LoadBytes(row, column);
    const auto magnitude = hn::And(code, hn::Set(Bits(), 0x7fu));
    const auto moved = hn::ShiftLeft<20>(magnitude);
    const VF normal = hn::BitCast(Square(), hn::Add(moved, hn::Set(Bits(), 120u << 23)));
    const VF raised = hn::BitCast(Square(), hn::Add(moved, hn::Set(Bits(), 121u << 23)));
    const auto is_small = hn::RebindMask(Square(), hn::Lt(magnitude, hn::Set(Bits(), 8u)));
    const auto is_nan = hn::RebindMask(Square(), hn::Eq(magnitude, hn::Set(Bits(), 0x7fu)));
    VF value = hn::IfThenElse(is_small, hn::Sub(raised, hn::Set(Square(), 0x1p-6f)), normal);
    value = hn::IfThenElse(is_nan, hn::Set(Square(), std::numeric_limits<float>::quiet_NaN()), value);
    return hn::Or(value, hn::BitCast(Square(), hn::ShiftLeft<24>(hn::Sub(code, magnitude))));
  }
};

struct Int8 {
  static HWY_INLINE VF Load(const std::uint8_t* row, std::int64_t column) {
    const hn::RebindToSigned<Square> numbers;
    const auto code = hn::BitCast(numbers, LoadBytes(row, column));
    return hn::ConvertTo(Square(), hn::ShiftRight<24>(hn::ShiftLeft<24>(code)));
  }
};

struct Int4 {
  static HWY_INLINE VF Load(const std::uint8_t* row, std::int64_t column) {
    const hn::RebindToSigned<Square> numbers;
    const auto code = hn::BitCast(numbers, LoadNibbles(row, column));
    return hn::ConvertTo(Square(), hn::ShiftRight<28>(hn::ShiftLeft<28>(code)));
  }
};

struct NF4 {
  static HWY_INLINE VF Load(const std::uint8_t* row, std::int64_t column) {
    const float* const values = value_table(kNF4).data();
    const hn::RebindToSigned<Square> numbers;
    const auto code = hn::BitCast(numbers, LoadNibbles(row, column));
    if constexpr (kSquare == 16) {
      return hn::TableLookupLanes(hn::LoadU(Square(), values), hn::IndicesFromVec(Square(), code));
    } else if constexpr (kSquare == 8) {
      const auto place = hn::IndicesFromVec(Square(), hn::And(code, hn::Set(numbers, 7)));
      const VF lower = hn::TableLookupLanes(hn::LoadU(Square(), values), place);
      const VF upper = hn::TableLookupLanes(hn::LoadU(Square(), values + 8), place);
      return hn::IfThenElse(hn::RebindMask(Square(), hn::Gt(code, hn::Set(numbers, 7))), upper, lower);
    } else {
      return hn::GatherIndex(Square(), values, code);
    }
  }
};

// A source for gemm_in_order-inl.h.
template <class Element>
class Rows {
 public:
  explicit Rows(const RowsOfCodes& rows) : count(rows.count), rows_(rows), block_(rows.format->block_size(rows.cols)) {
    for (std::int64_t i = 0; i < kGroup; ++i) row_[i] = rows.codes + std::min(i, count - 1) * rows.code_stride;
  }

  HWY_INLINE std::int64_t multiply_one(std::int64_t k, const float* a, float* sums) const {
    return in_order::multiply_squares(*this, k, a, sums);
  }
  HWY_INLINE void expand(std::int64_t begin, std::int64_t end, std::int64_t /*k*/, float* out) const {
    const float* const values = value_table(*rows_.format->element).data();
    for (std::int64_t c = in_order::expand_squares(*this, begin, end, 0, out); c < end; ++c)
      for (std::int64_t i = 0; i < kGroup; ++i)
        out[(c - begin) * kGroup + i] = values[packed_code(row_[i], c, rows_.format->element->bits)] *
                                        ScaleOf(rows_, std::min(i, count - 1), c / block_);
  }

  static constexpr std::int64_t kStep = kSquare;
  [[nodiscard]] HWY_INLINE std::int64_t ahead_of(std::int64_t /*column*/, std::int64_t /*k*/) const { return 0; }
  HWY_INLINE void prepare(std::int64_t column, std::int64_t /*ahead*/) const {
    if (column / block_ == scaled_) return;
    scaled_ = column / block_;
    for (std::int64_t i = 0; i < kGroup; ++i) scales_[i] = ScaleOf(rows_, std::min(i, count - 1), scaled_);
  }
  template <class Use>
  HWY_INLINE void for_columns(std::int64_t first, std::int64_t column, const Use& use) const {
    VF v[kSquare];
    for (std::int64_t i = 0; i < kSquare; ++i) v[i] = Element::Load(row_[first + i], column);
    in_order::transpose_square(v);
    const VF scale = hn::LoadU(Square(), scales_ + first);
    for (std::int64_t i = 0; i < kSquare; ++i) use(i, hn::Mul(v[i], scale));
  }

  std::int64_t count;

 private:
  RowsOfCodes rows_;
  std::int64_t block_;
  const std::uint8_t* row_[kGroup];
  mutable std::int64_t scaled_ = -1;  // the block whose scales these are
  mutable float scales_[kGroup];
};

// One group of InterleavedRows, or two for a single row of A.
using DF = hn::CappedTag<float, kGroup>;
using DI = hn::RebindToSigned<DF>;
using DB = hn::Repartition<std::uint8_t, DF>;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(HWY_MIN(HWY_LANES(float), std::size_t{kGroup}));
constexpr std::int64_t kVectors = kGroup / kLanes;

// Doubled values of the E2M1 codes.
alignas(16) constexpr std::int8_t kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Column `of` four of a vector's rows, as floats.
template <int of>
HWY_INLINE hn::Vec<DF> Column(hn::Vec<DB> four) {
  const auto dwords = hn::BitCast(DI(), four);
  return hn::ConvertTo(DF(), hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * of>(dwords)));
}

// Calls use(column, values) for 16 columns of the rows whose codes begin at `codes`.
template <class Use>
HWY_INLINE void ForColumns(const std::uint8_t* codes, const Use& use) {
  const hn::RepartitionToWide<DB> wide;
  const auto table = hn::LoadDup128(DB(), reinterpret_cast<const std::uint8_t*>(kDoubled));
  const auto low = hn::Set(DB(), std::uint8_t{15});
  const auto four = [&](std::int64_t first, hn::Vec<DB> nibbles) HWY_ATTR {
    const auto doubled = hn::TableLookupBytes(table, hn::And(nibbles, low));
    use(first, Column<0>(doubled));
    use(first + 1, Column<1>(doubled));
    use(first + 2, Column<2>(doubled));
    use(first + 3, Column<3>(doubled));
  };
  for (std::int64_t half = 0; half < 2; ++half) {
    const auto both = hn::LoadU(DB(), codes + 64 * half);
    four(8 * half, both);
    four(8 * half + 4, hn::BitCast(DB(), hn::ShiftRight<4>(hn::BitCast(wide, both))));
  }
}

class Groups {
 public:
  Groups(const GroupsOfCodes& groups, std::int64_t group)
      : count(std::min(kGroup, groups.count - group * kGroup)), groups_(groups), bytes_(groups.bytes) {
    bytes_ += group * groups.stride;
  }

  HWY_INLINE std::int64_t multiply_one(std::int64_t /*k*/, const float* /*a*/, float* /*sums*/) const { return 0; }

  // Half the scales of a block's rows, as codes are doubled.
  HWY_INLINE hn::Vec<DF> Scales(std::int64_t block, std::int64_t vector) const {
    const std::uint8_t* const codes = Block(block) + 128 * groups_.parts + vector * kLanes;
    const auto places = hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<std::uint8_t, DI>(), codes));
    const auto scale = hn::Mul(hn::GatherIndex(DF(), groups_.scale_of, places), hn::Set(DF(), groups_.tensor_scale));
    return hn::Mul(scale, hn::Set(DF(), 0.5f));
  }
  [[nodiscard]] HWY_INLINE const std::uint8_t* Codes(std::int64_t block, std::int64_t part, std::int64_t vector) const {
    return Block(block) + 128 * part + 4 * vector * kLanes;
  }

  // Both are multiples of 16.
  HWY_INLINE void expand(std::int64_t begin, std::int64_t end, std::int64_t /*k*/, float* out) const {
    for (std::int64_t column = begin; column < end; column += 16) {
      const std::int64_t block = column / 16 / groups_.parts, part = column / 16 % groups_.parts;
      for (std::int64_t vector = 0; vector < kVectors; ++vector) {
        const auto scale = Scales(block, vector);
        float* const to = out + (column - begin) * kGroup + vector * kLanes;
        ForColumns(Codes(block, part, vector), [&](std::int64_t i, hn::Vec<DF> values) HWY_ATTR {
          hn::StoreU(hn::Mul(values, scale), DF(), to + i * kGroup);
        });
      }
    }
  }

  std::int64_t count;

 private:
  [[nodiscard]] HWY_INLINE const std::uint8_t* Block(std::int64_t block) const {
    return bytes_ + block * (128 * groups_.parts + kGroup);
  }

  GroupsOfCodes groups_;
  const std::uint8_t* bytes_;
};

// A single row of A; the sums of both groups run side by side.
template <std::int64_t kGroups>
void MultiplyOne(const GroupsOfCodes& all, const float* HWY_RESTRICT a, float* c) {
  const Groups groups[2] = {Groups(all, 0), Groups(all, kGroups - 1)};
  hn::Vec<DF> sums[kGroups][kVectors];
  for (auto& group : sums)
    for (auto& vector : group) vector = hn::Zero(DF());
  for (std::int64_t block = 0; block < all.cols / (16 * all.parts); ++block) {
    hn::Vec<DF> scales[kGroups][kVectors];
    for (std::int64_t g = 0; g < kGroups; ++g)
      for (std::int64_t v = 0; v < kVectors; ++v) scales[g][v] = groups[g].Scales(block, v);
    for (std::int64_t part = 0; part < all.parts; ++part) {
      const float* const x = a + (block * all.parts + part) * 16;
      for (std::int64_t g = 0; g < kGroups; ++g)
        for (std::int64_t v = 0; v < kVectors; ++v)
          ForColumns(groups[g].Codes(block, part, v), [&](std::int64_t i, hn::Vec<DF> values) HWY_ATTR {
            sums[g][v] = hn::MulAdd(hn::Set(DF(), x[i]), hn::Mul(values, scales[g][v]), sums[g][v]);
          });
    }
  }
  alignas(64) float rows[kGroup];
  for (std::int64_t g = 0; g < kGroups; ++g) {
    for (std::int64_t v = 0; v < kVectors; ++v) hn::StoreU(sums[g][v], DF(), rows + v * kLanes);
    std::copy_n(rows, groups[g].count, c + g * kGroup);
  }
}

void MultiplyGroups(const GroupsOfCodes& groups, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  const bool two = groups.count > kGroup;
  if (m == 1) return two ? MultiplyOne<2>(groups, a, c) : MultiplyOne<1>(groups, a, c);
  for (std::int64_t g = 0; g < (two ? 2 : 1); ++g)
    in_order::multiply_group(Groups(groups, g), m, groups.cols, a, groups.cols, c + g * kGroup, ldc);
}

void MultiplyRows(const RowsOfCodes& rows, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  const auto multiply = [&](auto element) {
    in_order::multiply_group(Rows<decltype(element)>(rows), m, rows.cols, a, rows.cols, c, ldc);
  };
  const ElementType* const element = rows.format->element;
  if (element == &kE4M3) multiply(Fp8());
  else if (element == &kInt8) multiply(Int8());
  else if (element == &kInt4) multiply(Int4());
  else multiply(NF4());
}

#else

float Value(const RowsOfCodes& rows, std::int64_t row, std::int64_t k) {
  const ElementType& element = *rows.format->element;
  return element.value(packed_code(rows.codes + row * rows.code_stride, k, element.bits)) *
         ScaleOf(rows, row, k / rows.format->block_size(rows.cols));
}

float Value(const GroupsOfCodes& groups, std::int64_t row, std::int64_t k) {
  const std::int64_t in_block = k % (16 * groups.parts);
  const std::uint8_t* const block =
      groups.bytes + row / kGroup * groups.stride + k / (16 * groups.parts) * (128 * groups.parts + kGroup);
  const std::int64_t place = in_block % 16;
  const std::uint8_t* const codes = block + in_block / 16 * 128 + place / 8 * 64 + row % kGroup * 4 + place % 4;
  const std::uint32_t code = place % 8 < 4 ? *codes & 15u : *codes >> 4;
  return kE2M1.value(code) * (groups.scale_of[block[128 * groups.parts + row % kGroup]] * groups.tensor_scale);
}

template <class Codes>
void Multiply(const Codes& w, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t row = 0; row < w.count; ++row) {
      float sum = 0;
      for (std::int64_t k = 0; k < w.cols; ++k) sum += a[i * w.cols + k] * Value(w, row, k);
      c[i * ldc + row] = sum;
    }
}

void MultiplyGroups(const GroupsOfCodes& groups, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  Multiply(groups, m, a, c, ldc);
}
void MultiplyRows(const RowsOfCodes& rows, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  Multiply(rows, m, a, c, ldc);
}

#endif  // HWY_SCALAR

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::simd {

HWY_EXPORT(MultiplyRows);
HWY_EXPORT(MultiplyGroups);

void multiply_in_order(const RowsOfCodes& rows, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(MultiplyRows)(rows, m, a, c, ldc);
}

void multiply_in_order(const GroupsOfCodes& groups, std::int64_t m, const float* a, float* c, std::int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(MultiplyGroups)(groups, m, a, c, ldc);
}

}  // namespace qad::simd
#endif
