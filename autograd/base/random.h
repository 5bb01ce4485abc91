// Counter-based random numbers: a number is a pure function of (seed, stream, counter), so any position can be reached
// at once, a checkpoint stores a counter, and every platform draws the same values.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace qad {

/// 128 well-mixed bits of (seed, stream, counter): Philox 4x32-10 (Salmon et al., SC 2011).
[[nodiscard]] std::array<std::uint32_t, 4> random_words(std::uint64_t seed, std::uint64_t stream,
                                                        std::uint64_t counter);
/// The first two of these words.
[[nodiscard]] std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter);

/// A stream number from a name, so that uses of one seed do not share numbers: stream_of("shuffle").
[[nodiscard]] std::uint64_t stream_of(std::string_view name);

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter = 0)
      : seed_(seed), stream_(stream), counter_(counter) {}

  [[nodiscard]] std::uint64_t bits() { return random_bits(seed_, stream_, counter_++); }
  /// In [0, 1), 53 bits.
  [[nodiscard]] double uniform();
  /// In [0, bound), unbiased enough for any bound below 2^53.
  [[nodiscard]] std::int64_t below(std::int64_t bound);
  /// Standard normal, by Box-Muller; draws two counters.
  [[nodiscard]] double normal();
  [[nodiscard]] std::uint64_t counter() const { return counter_; }

 private:
  std::uint64_t seed_, stream_, counter_;
};

/// A permutation of 0 … size-1 (Fisher-Yates).
[[nodiscard]] std::vector<std::int64_t> random_permutation(std::int64_t size, Random random);

}  // namespace qad
