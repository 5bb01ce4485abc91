// Workload Q: the quantizer alone, on a matrix that stays in cache and one that comes from memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qad::bench {

struct QuantizerRate {
  std::string what;            ///< quantize, decode, quantize_and_decode, copy
  std::int64_t bytes = 0;      ///< of the values, FP32
  double bytes_per_value = 0;  ///< that must be read and written once, for GB/s
  double values_per_second = 0;

  [[nodiscard]] double bytes_per_second() const { return bytes_per_value * values_per_second; }
};

/// NVFP4 with the present number of threads. `copy` (memcpy, each thread a share) comes first.
[[nodiscard]] std::vector<QuantizerRate> quantizer_rates(std::int64_t bytes);

}  // namespace qad::bench
