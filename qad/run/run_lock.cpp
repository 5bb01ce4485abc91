#include "qad/run/run_lock.h"

#include <unistd.h>

#include "autograd/base/error.h"
#include "autograd/base/output_folder.h"
#include "autograd/base/place.h"
#include "qad/run/run_folder.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr int kAttempts = 100;

// A recipe.yaml alone may be a user's own file.
bool has_begun(const fs::path& folder) {
  if (!is_run_folder(folder)) return false;
  for (const char* name : {kLockFile, "log.txt", "checkpoints", "arms", "summary.json"})
    if (place_at(folder / name) != Place::nothing) return true;
  return false;
}

// Without links, where nothing that can't be looked into stands in the way.
fs::path plain(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path).lexically_normal() : result;
}

// The run that an output lies in.
std::optional<fs::path> run_around(const fs::path& output) {
  for (fs::path folder = plain(real_place(output)); folder.has_relative_path(); folder = folder.parent_path())
    if (has_begun(folder)) return folder;
  return std::nullopt;
}

}  // namespace

RunLock::RunLock(const fs::path& folder) {
  fs::path nearest = folder;
  while (place_at(nearest) == Place::nothing && !nearest.empty()) nearest = nearest.parent_path();
  if (!nearest.empty() && place_at(nearest) != Place::folder)
    throw Error({.who = folder.string(),
                 .expected = "a folder that can be written",
                 .got = what_is_at(nearest),
                 .hint = "choose another --out"});
  const fs::path real = real_place(folder);
  const fs::path arms = plain(real).parent_path();
  if (arms.filename() == "arms" && is_run_folder(arms.parent_path()))
    comparison_.emplace(arms.parent_path() / kLockFile, LockMode::shared);
  for (int attempt = 1;; ++attempt) {
    for (const fs::path& made : make_folders(real)) made_.push_back(made);
    try {
      own_.emplace(real / kLockFile);
      break;
    } catch (const Error&) {  // perhaps a start that failed has just removed its folder
      if (place_at(real) != Place::nothing || attempt == kAttempts) throw;
    }
  }
  try {
    check_nobody_builds(folder);  // who begins after this sees the folder
  } catch (...) {
    leave();
    throw;
  }
}

RunLock::~RunLock() { leave(); }

void RunLock::leave() {
  own_.reset();
  comparison_.reset();
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

RunLocks::RunLocks(const std::optional<fs::path>& run, const std::optional<fs::path>& output) {
  if (run) run_.emplace(*run);
  const auto around = output ? run_around(*output) : std::nullopt;
  if (around && !(run && fs::equivalent(*around, *run))) around_.emplace(*around);
}

}  // namespace qad
