// A lock that goes with its process, says whose it is, and knows what its file system can't do.
#include "autograd/base/file_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/process.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TemporaryFolder;

std::string this_process() {
  char machine[256] = {};
  ::gethostname(machine, sizeof machine - 1);
  return "process " + std::to_string(::getpid()) + " on " + machine;
}

class Lock : public ::testing::Test {
 protected:
  [[nodiscard]] bool is_held(LockMode mode = LockMode::exclusive) const {
    try {
      const FileLock lock(file_, mode);
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failed);
      return true;
    }
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / kLockFile;
};

TEST_F(Lock, IsHeldByOneAndNamesIt) {
  {
    const FileLock lock(file_);
    EXPECT_EQ(error_of([&] { const FileLock second(file_); }),
              folder_.path().string() + ": expected a folder that no other qad writes to, got " + this_process() +
                  " (wait until it ends, or stop it)");
    EXPECT_TRUE(is_held(LockMode::shared));
    EXPECT_EQ(read_file(file_, "a lock"), this_process() + "\n");
  }
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_FALSE(is_held());
}

TEST_F(Lock, MayBeShared) {
  std::optional<FileLock> first(std::in_place, file_, LockMode::shared);
  std::optional<FileLock> second(std::in_place, file_, LockMode::shared);
  EXPECT_TRUE(is_held());
  first.reset();
  EXPECT_TRUE(fs::exists(file_)) << "the second needs it";
  EXPECT_TRUE(is_held());
  second.reset();
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(Lock, LeftByAKilledProcessIsNone) {
  write_file_atomically(file_, "process 1 on " + this_process().substr(this_process().rfind(' ') + 1) + "\n");
  EXPECT_FALSE(is_held()) << "a process that lives has this number, but not the lock";
  write_file_atomically(file_, "process 1 on another machine\n");
  EXPECT_FALSE(is_held());
  write_file_atomically(file_, std::string(1000, '\xff'));
  EXPECT_FALSE(is_held());
}

TEST_F(Lock, IsNotInheritedByChildren) {
  std::optional<FileLock> lock(std::in_place, file_);
  testing::Process child({"60"}, {}, "/bin/sleep");
  lock.reset();
  EXPECT_TRUE(child.running());
  EXPECT_FALSE(is_held());
  child.send(SIGKILL);
  child.wait();
}

TEST_F(Lock, MovesWithItsFolder) {
  fs::create_directories(folder_ / "run");
  std::optional<FileLock> lock(std::in_place, folder_ / "run" / kLockFile);
  fs::rename(folder_ / "run", folder_ / "moved");
  fs::create_directories(folder_ / "run");
  const FileLock of_another(folder_ / "run" / kLockFile);
  file_ = folder_ / "moved" / kLockFile;
  EXPECT_TRUE(is_held());
  lock.reset();
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_TRUE(fs::exists(folder_ / "run" / kLockFile));
}

TEST_F(Lock, OfAFolderThatIsNotThereOrIsALinkIsRefused) {
  EXPECT_NE(error_of([&] { const FileLock lock(folder_ / "none" / "lock"); }).find("No such file"), std::string::npos);
  write_file_atomically(folder_ / "precious", "mine");
  fs::create_symlink(folder_ / "precious", file_);
  EXPECT_TRUE(is_held());
  EXPECT_EQ(read_file(folder_ / "precious", "a file"), "mine");
}

// Where the system answers as it does for a file system without locks, or of a mount that keeps them to itself.
class WeakLock : public Lock, public ::testing::WithParamInterface<LockAnswer> {
 protected:
  [[nodiscard]] std::string refusal() const {
    return error_of([&] { const FileLock lock(file_, LockMode::exclusive, [](int, LockMode) { return GetParam(); }); });
  }
};

TEST_P(WeakLock, BelievesWhatTheFileSays) {
  const std::string here = this_process().substr(this_process().rfind(' ') + 1);
  EXPECT_EQ(refusal(), "no error");
  EXPECT_FALSE(fs::exists(file_));
  write_file_atomically(file_, "process 999999999 on " + here + "\n");
  EXPECT_EQ(refusal(), "no error") << "it has ended";
  write_file_atomically(file_, "process 1 on another\n");
  const std::string message = refusal();
  EXPECT_NE(message.find("got process 1 on another (if it has ended, remove " + file_.string() + ")"),
            std::string::npos)
      << message;
  write_file_atomically(file_, "process 1 on " + here + "\n");
  const bool lives = GetParam() == LockAnswer::unsupported;  // else the lock itself says that it does not hold it
  EXPECT_EQ(refusal().find("got process 1 on " + here) != std::string::npos, lives);
}

INSTANTIATE_TEST_SUITE_P(FileSystems, WeakLock,
                         ::testing::Values(LockAnswer::unsupported, LockAnswer::taken_here_alone));

}  // namespace
}  // namespace qad
