// Cores that control groups allow, from the files that the kernel shows.
#include "autograd/base/cpu_count.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

TEST(CpuCount, TheTightestGroupOfV2Counts) {
  const testing::TemporaryFolder root;
  EXPECT_EQ(cgroup_cpus(root.path()), 0);  // nothing is known
  write_file_atomically(root / "proc/self/cgroup", "0::/outer/inner\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 0);
  write_file_atomically(root / "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 0);
  write_file_atomically(root / "sys/fs/cgroup/outer/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 3);  // 2.5 cores keep three threads busy
  write_file_atomically(root / "sys/fs/cgroup/outer/inner/cpu.max", "50000 100000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 1);
  write_file_atomically(root / "sys/fs/cgroup/outer/inner/cpu.max", "nonsense 1\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 3);
}

TEST(CpuCount, InsideAContainerTheRootIsItsOwnGroup) {
  const testing::TemporaryFolder root;
  write_file_atomically(root / "proc/self/cgroup", "0::/\n");
  write_file_atomically(root / "sys/fs/cgroup/cpu.max", "400000 200000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 2);
}

TEST(CpuCount, QuotaOfV1) {
  const testing::TemporaryFolder root;
  write_file_atomically(root / "proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/docker/abc\n0::/\n");
  write_file_atomically(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write_file_atomically(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 0);
  write_file_atomically(root / "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "150000\n");
  write_file_atomically(root / "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpus(root.path()), 2);
}

TEST(CpuCount, IsAtLeastOne) { EXPECT_GE(usable_cpus(), 1); }

}  // namespace
}  // namespace qad
