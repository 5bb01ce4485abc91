#include "qad/formats/block_scales_simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "qad/formats/block_scales_simd.cpp"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "qad/formats/round_magnitude-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Columns side by side hide how long a sum takes: four vectors of them, then two, then one, at last a value.
template <int vectors, typename D>
HWY_INLINE std::int64_t Columns(D tag, const double* HWY_RESTRICT d, const double* HWY_RESTRICT m, std::int64_t count,
                                std::int64_t begin, double* HWY_RESTRICT out) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  for (; begin + vectors * lanes <= count; begin += vectors * lanes) {
    auto sum0 = hn::Zero(tag), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto factor = hn::Set(tag, d[i]);
      const double* const row = m + i * count + begin;
      sum0 = hn::Add(sum0, hn::Mul(factor, hn::LoadU(tag, row)));
      if constexpr (vectors > 1) sum1 = hn::Add(sum1, hn::Mul(factor, hn::LoadU(tag, row + lanes)));
      if constexpr (vectors > 2) {
        sum2 = hn::Add(sum2, hn::Mul(factor, hn::LoadU(tag, row + 2 * lanes)));
        sum3 = hn::Add(sum3, hn::Mul(factor, hn::LoadU(tag, row + 3 * lanes)));
      }
    }
    hn::StoreU(sum0, tag, out + begin);
    if constexpr (vectors > 1) hn::StoreU(sum1, tag, out + begin + lanes);
    if constexpr (vectors > 2) {
      hn::StoreU(sum2, tag, out + begin + 2 * lanes);
      hn::StoreU(sum3, tag, out + begin + 3 * lanes);
    }
  }
  return begin;
}

void RowTimesSquare(const double* HWY_RESTRICT d, const double* HWY_RESTRICT m, std::int64_t count,
                    double* HWY_RESTRICT out) {
  const hn::ScalableTag<double> wide;
  std::int64_t done = Columns<4>(wide, d, m, count, 0, out);
  done = Columns<2>(wide, d, m, count, done, out);
  done = Columns<1>(wide, d, m, count, done, out);
  Columns<1>(hn::CappedTag<double, 1>(), d, m, count, done, out);
}

template <typename DD>
HWY_INLINE std::int64_t RoundingErrors(DD wide, const float* HWY_RESTRICT x, std::int64_t count, float scale,
                                       std::int64_t begin, double* HWY_RESTRICT errors) {
  const hn::Rebind<float, DD> narrow;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(wide));
  const auto divisor = hn::Set(narrow, scale), largest = hn::Set(narrow, 6.0f);
  for (; begin + lanes <= count; begin += lanes) {
    const auto value = hn::LoadU(narrow, x + begin), ratio = hn::Div(value, divisor);
    const auto rounded = RoundMagnitude<1, 1>(narrow, hn::Min(hn::Abs(ratio), largest)).value;
    const auto coded = hn::Mul(hn::CopySign(rounded, ratio), divisor);
    hn::StoreU(hn::Sub(hn::PromoteTo(wide, coded), hn::PromoteTo(wide, value)), wide, errors + begin);
  }
  return begin;
}

void RoundingErrorsOfE2M1(const float* HWY_RESTRICT x, std::int64_t count, float scale, double* HWY_RESTRICT errors) {
  const std::int64_t done = RoundingErrors(hn::ScalableTag<double>(), x, count, scale, 0, errors);
  RoundingErrors(hn::CappedTag<double, 1>(), x, count, scale, done, errors);
}

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qad::simd {

HWY_EXPORT(RowTimesSquare);
HWY_EXPORT(RoundingErrorsOfE2M1);

void row_times_square(const double* d, const double* m, std::int64_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(RowTimesSquare)(d, m, count, out);
}

void rounding_errors_of_e2m1(const float* x, std::int64_t count, float scale, double* errors) {
  HWY_DYNAMIC_DISPATCH(RoundingErrorsOfE2M1)(x, count, scale, errors);
}

}  // namespace qad::simd
#endif
