// Where tests find the project, shared data, and a folder to write in.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace qad::testing {

inline std::filesystem::path source_dir() { return QAD_SOURCE_DIR; }

/// QAD_SHARED_DATA or ../shared/data beside the project; empty when absent.
inline std::filesystem::path shared_data() {
  const char* set = std::getenv("QAD_SHARED_DATA");
  std::filesystem::path folder = set != nullptr ? std::filesystem::path(set) : source_dir() / ".." / "shared" / "data";
  return std::filesystem::is_directory(folder) ? std::filesystem::canonical(folder) : std::filesystem::path();
}

/// A fresh folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "qad_test_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace qad::testing

/// Skips the test when shared data is absent; in CI (CI=true) that is a failure.
#define QAD_REQUIRE_SHARED_DATA()                                                                  \
  if (qad::testing::shared_data().empty()) {                                                       \
    const char* ci = std::getenv("CI");                                                            \
    if (ci != nullptr && std::string_view(ci) == "true") FAIL() << "shared data is missing in CI"; \
    GTEST_SKIP() << "no shared data: set QAD_SHARED_DATA";                                         \
  }                                                                                                \
  static_assert(true)
