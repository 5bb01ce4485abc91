// Loops over float vectors, compiled once for each instruction set (Highway's foreach_target includes the file again
// and again, hence the unusual guard). A loop body is written once and serves whole vectors and the shorter rest alike:
//
//     each_vector(size, [&](auto at) HWY_ATTR { at.store(hn::Add(at.load(a), at.load(b)), out); });
#if defined(QAD_AUTOGRAD_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QAD_AUTOGRAD_KERNELS_SIMD_INL_H_
#undef QAD_AUTOGRAD_KERNELS_SIMD_INL_H_
#else
#define QAD_AUTOGRAD_KERNELS_SIMD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace qad::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
using Doubles = hn::ScalableTag<double>;

inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(HWY_LANES(float));

HWY_INLINE Vector set(float value) { return hn::Set(Floats(), value); }
HWY_INLINE Vector zero() { return hn::Zero(Floats()); }

/// A full vector that starts at element `first`.
struct WholeVector {
  std::int64_t first;

  HWY_INLINE Vector load(const float* p) const { return hn::LoadU(Floats(), p + first); }
  /// `fill` stands in the lanes past the end; here there are none.
  HWY_INLINE Vector load_or(const float* p, float /*fill*/) const { return load(p); }
  HWY_INLINE void store(Vector v, float* p) const { hn::StoreU(v, Floats(), p + first); }
  /// Zero in the lanes past the end.
  HWY_INLINE Vector only_valid(Vector v) const { return v; }
};

/// The last `count` elements, fewer than a vector; lanes past the end load as zero and are not stored.
struct PartVector {
  std::int64_t first, count;

  HWY_INLINE Vector load(const float* p) const { return load_or(p, 0.0f); }
  HWY_INLINE Vector load_or(const float* p, float fill) const {
    HWY_ALIGN float lanes[kLanes];
    hn::Store(set(fill), Floats(), lanes);
    std::memcpy(lanes, p + first, static_cast<std::size_t>(count) * sizeof(float));
    return hn::Load(Floats(), lanes);
  }
  HWY_INLINE void store(Vector v, float* p) const {
    HWY_ALIGN float lanes[kLanes];
    hn::Store(v, Floats(), lanes);
    std::memcpy(p + first, lanes, static_cast<std::size_t>(count) * sizeof(float));
  }
  HWY_INLINE Vector only_valid(Vector v) const {
    return hn::IfThenElseZero(hn::FirstN(Floats(), static_cast<std::size_t>(count)), v);
  }
};

template <class Body>
HWY_INLINE void each_vector(std::int64_t size, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) body(WholeVector{i});
  if (i < size) body(PartVector{i, size - i});
}

HWY_INLINE float sum_of_lanes(Vector v) { return hn::GetLane(hn::SumOfLanes(Floats(), v)); }
HWY_INLINE float max_of_lanes(Vector v) { return hn::GetLane(hn::MaxOfLanes(Floats(), v)); }

/// e^x for x ≤ 88, and NaN for NaN (Highway's own gives 0, which would hide a broken logit).
HWY_INLINE Vector exp(Vector x) { return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(Floats(), x)); }

/// 1 / (1 + e^-z), through e^-|z| so that nothing overflows.
HWY_INLINE Vector sigmoid(Vector z) {
  const Vector e = exp(hn::Neg(hn::Abs(z)));
  const Vector numerator = hn::IfThenElse(hn::Lt(z, zero()), e, set(1.0f));
  return hn::Div(numerator, hn::Add(set(1.0f), e));
}

/// The two halves of a float vector as doubles (with a single lane, that lane and zero).
HWY_INLINE hn::Vec<Doubles> lower_half(Vector v) {
  return hn::PromoteTo(Doubles(), hn::LowerHalf(hn::Rebind<float, Doubles>(), v));
}
HWY_INLINE hn::Vec<Doubles> upper_half(Vector v) {
#if HWY_TARGET == HWY_SCALAR
  (void)v;
  return hn::Zero(Doubles());
#else
  return hn::PromoteTo(Doubles(), hn::UpperHalf(hn::Rebind<float, Doubles>(), v));
#endif
}

/// A sum of floats kept in double, lane by lane.
class DoubleSum {
 public:
  // Written out, since GCC would give an implicit constructor no instruction set.
  HWY_INLINE DoubleSum() : low_(hn::Zero(Doubles())), high_(hn::Zero(Doubles())) {}
  HWY_INLINE void add(Vector v) {
    low_ = hn::Add(low_, lower_half(v));
    high_ = hn::Add(high_, upper_half(v));
  }
  HWY_INLINE void add_square(Vector v) {
    low_ = hn::MulAdd(lower_half(v), lower_half(v), low_);
    high_ = hn::MulAdd(upper_half(v), upper_half(v), high_);
  }
  HWY_INLINE double total() const { return hn::GetLane(hn::SumOfLanes(Doubles(), hn::Add(low_, high_))); }

 private:
  hn::Vec<Doubles> low_, high_;
};

/// The largest element; a NaN among others may be passed over.
HWY_INLINE float max_element(std::int64_t size, const float* x) {
  Vector largest = set(-std::numeric_limits<float>::infinity());
  each_vector(size, [&](auto at) HWY_ATTR {
    largest = hn::Max(largest, at.load_or(x, -std::numeric_limits<float>::infinity()));
  });
  return max_of_lanes(largest);
}

}  // namespace qad::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
