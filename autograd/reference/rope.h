// Rotary position embedding in half-split form, the definition.
#pragma once

#include <cstdint>

namespace qad::reference {

/// In the first `turned` numbers of each head, with half = turned/2 and θ_i the angle of pair i at the token's
/// position: out[i] = x[i]·cos θ_i - x[i + half]·sin θ_i,  out[i + half] = x[i + half]·cos θ_i + x[i]·sin θ_i.
/// `inverse` turns by -θ: being a rotation, that is the backward.
template <class T>
void rope(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, std::int64_t turned,
          const std::int32_t* positions, const T* cosines, const T* sines, bool inverse, const T* x, T* out) {
  const std::int64_t half = turned / 2;
  for (std::int64_t head = 0; head < tokens * heads; ++head, x += head_dim, out += head_dim) {
    for (std::int64_t i = turned; i < head_dim; ++i) out[i] = x[i];
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t angle = positions[head / heads] * half + i;
      const T sine = inverse ? -sines[angle] : sines[angle];
      const T a = x[i], b = x[i + half];
      out[i] = a * cosines[angle] - b * sine;
      out[i + half] = b * cosines[angle] + a * sine;
    }
  }
}

}  // namespace qad::reference
