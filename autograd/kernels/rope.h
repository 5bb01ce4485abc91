// Rotary position embedding in half-split form (Su et al., 2021; Hugging Face's rotate_half): inside each head, element
// i and element i + head_dim/2 are rotated by the angle of pair i.
#pragma once

#include <cstdint>

namespace qad::kernels {

/// x, out [tokens, heads·head_dim], may be the same; positions [tokens]; cosines, sines [positions, head_dim/2].
/// `inverse` rotates back: the backward of the forward.
void rope(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, const std::int32_t* positions,
          const float* cosines, const float* sines, bool inverse, const float* x, float* out);

}  // namespace qad::kernels
