// How many cores this process may use.
#pragma once

#include <filesystem>

namespace qad {

/// Cores that the affinity mask allows (taskset, a scheduler's binding), but no more than the CPU limit of its control
/// group rounded up (`docker run --cpus 2`, Slurm, Kubernetes): threads beyond either would only wait for each other.
[[nodiscard]] int usable_cpus();

/// The cgroup's part of it: cores by the tightest `cpu.max` (v2) or `cpu.cfs_quota_us` (v1) between this process's
/// group and the root; 0 where there is no limit. `root` stands for /, in tests.
[[nodiscard]] int cgroup_cpus(const std::filesystem::path& root = "/");

}  // namespace qad
