#include "autograd/base/free_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace qad {
namespace {

constexpr std::size_t kUnknown = std::numeric_limits<std::size_t>::max();

// The number that a file of the system holds; `max` is none.
std::optional<std::size_t> number_in(const char* file) {
  std::ifstream stream(file);
  std::size_t number = 0;
  return stream >> number ? std::optional(number) : std::nullopt;
}

std::size_t system_memory() {
  std::ifstream stream("/proc/meminfo");
  for (std::string line; std::getline(stream, line);)
    if (constexpr std::string_view kName = "MemAvailable:"; line.starts_with(kName))
      return std::stoull(line.substr(kName.size())) << 10;
  return kUnknown;
}

// The limit of the control group (version 2, then 1). What it has used is not taken off: files that can be dropped are
// among it.
std::size_t group_limit() {
  return std::min(number_in("/sys/fs/cgroup/memory.max").value_or(kUnknown),
                  number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes").value_or(kUnknown));
}

}  // namespace

std::size_t free_memory() { return std::min(system_memory(), group_limit()); }

}  // namespace qad
