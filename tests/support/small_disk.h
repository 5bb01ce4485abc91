// A file system in memory, mounted on a folder of its own; gone at the end. Needs the right to mount.
#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

namespace qad::testing {

class SmallDisk {
 public:
  SmallDisk(const std::filesystem::path& place, const std::string& size) : place_(place.string()) {
    std::filesystem::create_directories(place);
    mounted_ = ::mount("none", place_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(place_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  void grow(const std::string& size) const {
    ASSERT_EQ(::mount("none", place_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()), 0);
  }

 private:
  std::string place_;
  bool mounted_ = false;
};

}  // namespace qad::testing
