// How far quantized values are from the originals: the figures that `inspect` and reports show.
#pragma once

#include <cstdint>
#include <span>

namespace qad {

struct Distortion {
  std::int64_t values = 0;
  std::int64_t exact = 0;            ///< quantized == original
  std::int64_t flushed_to_zero = 0;  ///< original != 0, quantized == 0
  std::int64_t sign_flips = 0;       ///< original and quantized both nonzero, with opposite signs
  double signal = 0;                 ///< sum of squares of the originals
  double noise = 0;                  ///< sum of squares of the differences
  double max_relative_error = 0;  ///< of |difference| / |original| over the nonzero originals; 1 where flushed to zero

  /// Signal-to-noise ratio, 10·log10(signal / noise); infinite without noise.
  [[nodiscard]] double snr_db() const;
  /// Adds another tensor's figures.
  Distortion& operator+=(const Distortion& other);
};

/// Both spans have one size. The same bits at any number of threads.
[[nodiscard]] Distortion measure_distortion(std::span<const float> original, std::span<const float> quantized);

}  // namespace qad
