// One run, one process: who writes into a run's folder holds its lock as long as it works there. Who reads it (eval,
// generate, inspect, an export to elsewhere) needs none and disturbs nobody.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "autograd/base/file_lock.h"

namespace qad {

/// The lock of a run's or a comparison's folder (autograd/base/file_lock.h). An arm's also keeps its comparison from
/// going on meanwhile, and other arms not.
class RunLock {
 public:
  /// Makes the folder if it is missing. Throws Error (failed) that names process and machine that hold it, or that are
  /// about to put a folder of their own there.
  explicit RunLock(const std::filesystem::path& folder);
  /// Folders that it made and that nothing came into are removed again.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  void leave();

  std::vector<std::filesystem::path> made_;
  std::optional<FileLock> comparison_, own_;
};

/// For verbs that write into a run's folder by the way: `run` where they have to, and the run that `output` lies in,
/// whichever that is.
class RunLocks {
 public:
  RunLocks(const std::optional<std::filesystem::path>& run, const std::optional<std::filesystem::path>& output);

 private:
  std::optional<RunLock> run_, around_;
};

}  // namespace qad
