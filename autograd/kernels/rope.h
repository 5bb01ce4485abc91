// Rotary position embedding in half-split form (Su et al., 2021; Hugging Face's rotate_half): inside each head, element
// i and element i + turned/2 are rotated by the angle of pair i.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// x, out [tokens, heads·head_dim], may be the same; positions [tokens]; cosines, sines [positions, turned/2].
/// The first `turned` numbers of a head are rotated, the others stay.
/// `inverse` rotates back: the backward of the forward.
void rope(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, std::int64_t turned,
          const std::int32_t* positions, const float* cosines, const float* sines, bool inverse, const float* x,
          float* out);

}  // namespace qad::kernels
