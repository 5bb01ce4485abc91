// Element types of quantized tensors: what a code of a few bits means. One table (element.cpp); combinations of an
// element with block and tensor scales are in block_format.h, packing in pack.h.
//
// Every encode rounds to the nearest value, ties to even, and saturates at ±max, infinities included (bf16 and f32 keep
// theirs). NaN becomes the type's NaN, or 0 where the type has none (e2m1, the integers, nf4). Exceptions: nf4 has no
// ties in practice and takes the lower code; e8m0 holds positive powers of two only: a tie (1.5·2^k) goes up, 0 becomes
// the smallest value, a negative number NaN.
//
// Sources: OCP Microscaling Formats (MX) v1.0 for e2m1 and e8m0; OCP 8-bit Floating Point v1.0 for e4m3 (the "fn" kind:
// no infinities) and e5m2; Dettmers et al., QLoRA (2023), appendix E, for nf4.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace qad {

struct ElementType {
  std::string_view name;
  int bits;              ///< of a code
  float max;             ///< the largest magnitude that encode gives; integers are symmetric (±127, ±7)
  float min_positive;    ///< the smallest positive value
  int significant_bits;  ///< that the longest value has
  std::uint32_t (*encode)(float value);
  float (*value)(std::uint32_t code);
};

extern const ElementType kE2M1, kE4M3, kE5M2, kE8M0, kBF16, kF32, kInt8, kInt4, kNF4;

[[nodiscard]] std::span<const ElementType* const> element_types();
/// By name ("e2m1", "e4m3", …); an unknown one is an Error that lists those known.
[[nodiscard]] const ElementType& element_type(std::string_view name);
/// The value of every code of an element of at most 8 bits, indexed by code.
[[nodiscard]] std::span<const float> value_table(const ElementType& element);

}  // namespace qad
