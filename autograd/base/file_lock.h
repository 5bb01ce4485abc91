// A lock on what happens in a folder: a file in it that names process and machine, locked by the system. The lock is
// gone with its process, however that ends; the file is removed with it, and one that a killed process left is no lock.
//
// It is an "open file description" lock of one byte far beyond the file's end, so that others can read who holds it
// also where locks are mandatory, which children that were started meanwhile don't inherit and which moves with the
// folder. On NFS all machines see it. Where the file system has no locks, or a mount keeps them to its machine (nolock,
// local_lock), a warning says so and what the file says is believed: a process that lives on this machine, or any on
// another one, holds it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace qad {

/// The file in a run's folder that is its lock.
inline constexpr const char* kLockFile = ".qad_lock";

enum class LockMode : std::uint8_t { exclusive, shared };

/// What the system answered to a request for a lock.
enum class LockAnswer : std::uint8_t {
  taken,
  taken_here_alone,  ///< other machines don't see it
  held,              ///< by another process
  unsupported,
};
/// Asks for it without waiting; `fd` is open for reading and writing.
[[nodiscard]] LockAnswer ask_for_lock(int fd, LockMode mode);

/// "process 12 on a machine" that holds the lock of a file, nothing if nobody does; the file stays as it is.
[[nodiscard]] std::string lock_holder(const std::filesystem::path& file);

class FileLock {
 public:
  using Ask = std::function<LockAnswer(int fd, LockMode mode)>;

  /// Makes the file. Throws Error (failed) that names the folder, and process and machine that hold it; nothing waits.
  /// `ask` is for tests of file systems that this machine has none of.
  explicit FileLock(const std::filesystem::path& file, LockMode mode = LockMode::exclusive, Ask ask = ask_for_lock);
  ~FileLock();
  FileLock(FileLock&&) = delete;
  FileLock& operator=(FileLock&&) = delete;

 private:
  [[nodiscard]] bool is_still_there() const;
  void close();

  std::string name_;
  Ask ask_;
  LockMode mode_;
  int folder_ = -1, file_ = -1;
};

}  // namespace qad
