#include "autograd/base/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace qad {
namespace fs = std::filesystem;
namespace {

// Cores by a quota and period in the same unit; 0 without a limit.
double cores_of(double quota, double period) { return quota > 0 && period > 0 ? quota / period : 0; }

// "max 100000" or "150000 100000".
double limit_v2(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  try {
    return cores_of(std::stod(quota), period);
  } catch (const std::exception&) {
    return 0;
  }
}

// -1 is no limit.
double limit_v1(const fs::path& group) {
  double quota = 0, period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return cores_of(quota, period);
}

double tighter(double a, double b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

// From a group up to the root of its hierarchy, each of which may set a limit.
double tightest(const fs::path& mount, const fs::path& group, double (*limit)(const fs::path&)) {
  double result = 0;
  for (fs::path path = group.relative_path();; path = path.parent_path()) {
    result = tighter(result, limit(mount / path));
    if (path.empty()) return result;
  }
}

bool names_cpu(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');)
    if (name == "cpu") return true;
  return false;
}

}  // namespace

int cgroup_cpus(const fs::path& root) {
  double cores = 0;
  std::ifstream groups(root / "proc/self/cgroup");  // "0::/user.slice", or in v1 "4:cpu,cpuacct:/docker/…"
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) cores = tighter(cores, tightest(root / "sys/fs/cgroup", group, limit_v2));
    // Inside a container the group's own folder is mounted as the root of the hierarchy, which the walk up reaches.
    else if (names_cpu(controllers)) cores = tighter(cores, tightest(root / "sys/fs/cgroup/cpu", group, limit_v1));
  }
  return static_cast<int>(std::ceil(cores));
}

int usable_cpus() {
  cpu_set_t mask;
  int cpus = ::sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask)
                                                             : static_cast<int>(std::thread::hardware_concurrency());
  if (const int limit = cgroup_cpus(); limit > 0) cpus = std::min(cpus, limit);
  return std::max(cpus, 1);
}

}  // namespace qad
