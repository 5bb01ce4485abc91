// Rounding to a small float as the FPU rounds: adding a number whose last place is the step of the small format rounds
// to that step, ties to even; the step follows the binade of the value, so it comes from the value's exponent bits.
// Compiled once for each instruction set.
#if defined(QAD_FORMATS_ROUND_MAGNITUDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_FORMATS_ROUND_MAGNITUDE_INL_H_
#undef QAD_FORMATS_ROUND_MAGNITUDE_INL_H_
#else
#define QAD_FORMATS_ROUND_MAGNITUDE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace qad::simd::HWY_NAMESPACE {

template <typename D>
struct RoundedMagnitude {
  hwy::HWY_NAMESPACE::Vec<D> value;
  hwy::HWY_NAMESPACE::Vec<hwy::HWY_NAMESPACE::RebindToUnsigned<D>> code;
};

// Rounds magnitudes (at most the format's max) to a small float with the given mantissa bits and exponent bias, and
// gives the code as well. With p the value's power of two (at least the smallest normal) the step is p·2^-mantissa, and
// value + 1.5·2^(23-mantissa)·p has just that as its last place: its low bits count the steps.
template <int mantissa, int bias, typename D>
HWY_INLINE RoundedMagnitude<D> RoundMagnitude(D df, hwy::HWY_NAMESPACE::Vec<D> magnitude) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> du;
  constexpr std::uint32_t kExponentBits = 0x7f800000u;
  constexpr float kMagic = 1.5f * static_cast<float>(1 << (23 - mantissa));
  constexpr float kSmallestNormal = 2.0f / static_cast<float>(1 << bias);
  const auto power =
      hn::Max(hn::And(magnitude, hn::BitCast(df, hn::Set(du, kExponentBits))), hn::Set(df, kSmallestNormal));
  const auto magic = hn::Mul(power, hn::Set(df, kMagic));
  const auto sum = hn::Add(magnitude, magic);
  const auto bits = hn::BitCast(du, sum);
  // Steps (0 … 2^(mantissa+1)) plus 2^mantissa for each binade above the smallest normal; the exponent field of `sum`
  // is that of `power` plus 23 - mantissa, and below it stands the 1 of 1.5.
  constexpr std::uint32_t kSteps = (2u << (mantissa + 1)) - 1;
  constexpr std::uint32_t kOffset = ((127 + 23 - mantissa + 1 - bias) << mantissa) + (1u << (mantissa - 1));
  const auto binades = hn::Sub(hn::ShiftRight<23 - mantissa>(bits), hn::Set(du, kOffset));
  return {hn::Sub(sum, magic), hn::Add(hn::And(bits, hn::Set(du, kSteps)), binades)};
}

}  // namespace qad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
