// The machine that a figure was measured on, for reports and benchmarks.
#pragma once

#include <cstdint>
#include <string>

namespace qad {

struct Machine {
  std::string cpu;  ///< as the kernel names it
  int cores = 0;    ///< that this process may run on
  std::int64_t memory_bytes = 0;
  std::string system;  ///< kernel and architecture
  std::string compiler;
};

[[nodiscard]] Machine this_machine();
/// "Intel Xeon …, 2 cores, 8.0 GiB, Linux 6.1 x86_64, GCC 12.2.0"
[[nodiscard]] std::string text_of(const Machine& machine);

/// The highest resident memory of this process so far.
[[nodiscard]] std::int64_t peak_rss_bytes();

}  // namespace qad
