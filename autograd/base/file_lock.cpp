#include "autograd/base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/host_name.h"
#include "autograd/base/log.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr off_t kLockedByte = off_t{1} << 30;  // every file system and NFS version knows places up to 2^31

struct Owner {
  long process = 0;  // 0: nobody is named
  std::string machine;

  [[nodiscard]] std::string text() const {
    return process == 0 ? "another process" : fmt::format("process {} on {}", process, machine);
  }
  [[nodiscard]] std::string line() const { return fmt::format("process {} on {}\n", process, machine); }
};

Owner read_owner(int fd) {
  std::array<char, 512> text{};
  std::array<char, 256> machine{};
  Owner owner;
  if (::pread(fd, text.data(), text.size() - 1, 0) <= 0) return owner;
  if (std::sscanf(text.data(), "process %ld on %255s", &owner.process, machine.data()) != 2) return {};
  owner.machine = machine.data();
  return owner;
}

// NFS may be mounted so that its server never hears of a lock: the options stand last in a line of mountinfo.
bool keeps_locks_to_itself(int fd) {
  struct statfs system {};
  struct stat status {};
  if (::fstatfs(fd, &system) != 0 || system.f_type != NFS_SUPER_MAGIC || ::fstat(fd, &status) != 0) return false;
  const std::string device = fmt::format(" {}:{} ", ::major(status.st_dev), ::minor(status.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(device) == std::string::npos) continue;
    const std::string options = "," + line.substr(line.rfind(' ') + 1) + ",";
    for (const char* local : {",nolock,", ",local_lock=all,", ",local_lock=posix,"})
      if (options.find(local) != std::string::npos) return true;
  }
  return false;
}

std::string folder_of(const fs::path& file) {
  const std::string shown = file.parent_path().lexically_normal().string();
  return shown.empty() ? "." : shown;
}

[[noreturn]] void held_by(const fs::path& file, const std::string& got, const std::string& hint) {
  throw Error({.who = folder_of(file), .expected = "a folder that no other qad writes to", .got = got, .hint = hint});
}

bool is_elsewhere(const Owner& owner) { return owner.machine != host_name(); }

// As far as the file tells, where the system's answer says nothing of other machines, or nothing at all.
bool holds(const Owner& owner, LockAnswer answer) {
  if (owner.process == 0 || (owner.process == ::getpid() && !is_elsewhere(owner))) return false;
  return is_elsewhere(owner) ||
         (answer == LockAnswer::unsupported && (::kill(static_cast<pid_t>(owner.process), 0) == 0 || errno == EPERM));
}

void believe(const Owner& owner, LockAnswer answer, const fs::path& file) {
  log_warning("{}: {}: two processes in one folder are told apart by {} alone", folder_of(file),
              answer == LockAnswer::unsupported ? "this file system has no locks"
                                                : "locks of this mount do not reach other machines",
              file.filename().string());
  if (holds(owner, answer))
    held_by(file, owner.text(),
            is_elsewhere(owner) ? fmt::format("if it has ended, remove {}", file.string())
                                : "wait until it ends, or stop it");
}

}  // namespace

LockAnswer ask_for_lock(int fd, LockMode mode) {
  struct flock range {};
  range.l_type = mode == LockMode::exclusive ? F_WRLCK : F_RDLCK;
  range.l_whence = SEEK_SET;
  range.l_start = kLockedByte;
  range.l_len = 1;
  int result = 0;
  do result = ::fcntl(fd, F_OFD_SETLK, &range);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EINVAL)  // a system that knows only whole files
    result = ::flock(fd, (mode == LockMode::exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
  if (result == 0) return keeps_locks_to_itself(fd) ? LockAnswer::taken_here_alone : LockAnswer::taken;
  return errno == EAGAIN || errno == EACCES ? LockAnswer::held : LockAnswer::unsupported;
}

std::string lock_holder(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return "";
  const Owner owner = read_owner(fd);
  const LockAnswer answer = ask_for_lock(fd, LockMode::exclusive);
  ::close(fd);
  const bool held = answer == LockAnswer::held || (answer != LockAnswer::taken && holds(owner, answer));
  return held ? owner.text() : "";
}

FileLock::FileLock(const fs::path& file, LockMode mode, Ask ask)
    : name_(file.filename().string()), ask_(std::move(ask)), mode_(mode) {
  const auto fail = [&](const char* expected) {
    const std::string reason = std::strerror(errno);
    close();
    throw Error({.who = folder_of(file), .expected = expected, .got = reason});
  };
  folder_ = ::open(file.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) fail("a folder that can be written");
  // A file that was removed between opening and locking locks nothing: again, with the next one.
  for (LockAnswer answer = LockAnswer::held;;) {
    file_ = ::openat(folder_, name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (file_ < 0) fail("a folder that can be written");
    const Owner before = read_owner(file_);
    answer = ask_(file_, mode_);
    try {
      if (answer == LockAnswer::held) held_by(file, before.text(), "wait until it ends, or stop it");
      if (is_still_there()) {
        if (answer != LockAnswer::taken) believe(before, answer, file);
        break;
      }
    } catch (...) {
      close();
      throw;
    }
    ::close(std::exchange(file_, -1));
  }
  // For messages alone: on a full disk the lock holds as well.
  const std::string line = Owner{::getpid(), host_name()}.line();
  if (::ftruncate(file_, 0) == 0) static_cast<void>(::pwrite(file_, line.data(), line.size(), 0) == 0);
}

FileLock::~FileLock() {
  // Others that share it need the file: the last one removes it.
  const bool alone = mode_ == LockMode::exclusive || ask_(file_, LockMode::exclusive) != LockAnswer::held;
  if (alone && is_still_there()) ::unlinkat(folder_, name_.c_str(), 0);
  close();
}

bool FileLock::is_still_there() const {
  struct stat opened {
  }, named{};
  return ::fstat(file_, &opened) == 0 && ::fstatat(folder_, name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

void FileLock::close() {
  for (int* fd : {&file_, &folder_})
    if (const int open = std::exchange(*fd, -1); open >= 0) ::close(open);
}

}  // namespace qad
