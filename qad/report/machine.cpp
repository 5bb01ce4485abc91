#include "qad/report/machine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "autograd/base/cpu_count.h"
#include "qad/report/format.h"

namespace qad {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown CPU";
}

}  // namespace

Machine this_machine() {
  utsname system{};
  uname(&system);
  return {.cpu = cpu_name(),
          .cores = usable_cpus(),
          .memory_bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE),
          .system = fmt::format("{} {} {}", system.sysname, system.release, system.machine),
#ifdef __clang__
          .compiler = fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__)};
#else
          .compiler = fmt::format("GCC {}", __VERSION__)};
#endif
}

std::string text_of(const Machine& machine) {
  return fmt::format("{}, {} core{}, {}, {}, {}", machine.cpu, machine.cores, machine.cores == 1 ? "" : "s",
                     format_bytes(machine.memory_bytes), machine.system, machine.compiler);
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;  // Linux counts KiB
}

}  // namespace qad
