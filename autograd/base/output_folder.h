// A folder of files that appears whole: built in a hidden folder, then put in place. Where it may be is decided before
// the work, and nothing that others made is removed or replaced.
//
// A new folder is built beside its place (.NAME.partial) and renamed. One that is there already stays the folder that
// it is (a link's target, a mount point, somebody's working directory): the files are built inside it (.qad_partial)
// and moved up one by one, one that makes the folder whole last; what is moved and what gives way to it is written down
// first, so that the next one to come here finishes what a killed process began. `.qad_partial` in a hidden folder says
// whose it is and locks it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "autograd/base/file_lock.h"

namespace qad {

class OutputFolder {
 public:
  /// Asked of a folder that holds something: the files in it that an earlier output of the same kind made and that may
  /// be replaced, as paths from that folder. What else is there is left alone. Throws if the folder is to be refused.
  using Replaceable = std::function<std::set<std::string>(const std::filesystem::path& folder)>;

  /// What becomes of files that are not put in place: removed, or kept for the next one who asks for them to go on
  /// with. Who does not ask has them removed.
  enum class Left : std::uint8_t { removed, kept };

  /// Throws (usage) for a folder that holds something, unless `replaceable` knows better, and for what is no folder;
  /// (failed) for one that can't be written, or that another process is writing to.
  explicit OutputFolder(const std::filesystem::path& target, const Replaceable& replaceable = {},
                        Left left = Left::removed);
  /// Removes what has not been put in place, unless it is kept.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where to write files, in folders of their own too.
  [[nodiscard]] const std::filesystem::path& path() const { return partial_; }
  /// Where they will be, as it was named.
  [[nodiscard]] const std::filesystem::path& target() const { return target_; }
  /// Removes all that was written so far.
  void clear() const;
  /// What was to be kept is of no use to anybody.
  void keep_nothing() { left_ = Left::removed; }
  /// Call it once. Readers take the folder for whole when `last` is in it.
  void put_in_place(const std::string& last);

 private:
  void make_partial();
  void give_up();
  [[noreturn]] void not_free(int error) const;
  void rename_whole();
  void move_files(const std::string& last);

  std::filesystem::path target_, place_, partial_;
  Left left_;
  bool is_inside_ = false;  // partial_ in place_
  std::set<std::string> replaceable_;
  std::vector<std::filesystem::path> made_;  // parents that were not there, outermost first
  std::optional<FileLock> lock_;
  bool made_partial_ = false, is_placed_ = false;
};

/// Throws (failed) where another process builds a new folder that it will put there.
void check_nobody_builds(const std::filesystem::path& folder);
/// Whether a folder is one that was being built, or into which files were being moved, when its process ended.
/// `last` as of put_in_place.
[[nodiscard]] bool is_unfinished_output(const std::filesystem::path& folder, const std::string& last);
/// Whether a folder counts as empty: what a file system itself keeps there (lost+found), our own locks and what `ours`
/// says of a name apart.
[[nodiscard]] bool holds_nothing(const std::filesystem::path& folder,
                                 const std::function<bool(const std::string& name)>& ours = {});
/// Makes a folder and those above it; returns those that were not there, outermost first.
[[nodiscard]] std::vector<std::filesystem::path> make_folders(const std::filesystem::path& folder);

}  // namespace qad
