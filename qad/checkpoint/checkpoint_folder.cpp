#include "qad/checkpoint/checkpoint_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <system_error>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "step-", kSuffix = ".h5";

// step-00000100.h5 -> 100; nothing for any other name.
std::optional<std::int64_t> step_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const char* const begin = name.data() + kPrefix.size();
  const char* const end = name.data() + name.size() - kSuffix.size();
  std::int64_t step = -1;
  const auto result = std::from_chars(begin, end, step);
  return result.ec == std::errc() && result.ptr == end && step >= 0 ? std::optional(step) : std::nullopt;
}

std::vector<fs::path> files_where(const fs::path& folder, const std::function<bool(const fs::path&)>& wanted) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (wanted(entry->path())) files.push_back(entry->path());
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error({.who = folder.string(), .expected = "a folder with checkpoints", .got = error.message()});
  return files;
}

void remove_or_warn(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) log_warning("{}: could not be removed: {}", file.string(), error.message());
}

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path folder, std::int64_t keep) : folder_(std::move(folder)), keep_(keep) {
  QAD_ASSERT(keep >= 1);
}

fs::path CheckpointFolder::save(std::int64_t step, const CheckpointContent& content) {
  QAD_ASSERT(step >= 0);
  const fs::path file = folder_ / fmt::format("{}{:08}{}", kPrefix, step, kSuffix);
  save_checkpoint(file, content);
  prune(step);
  remove_leftovers();
  return file;
}

fs::path CheckpointFolder::save_best(const CheckpointContent& content) {
  const fs::path file = folder_ / "best.h5";
  save_checkpoint(file, content);
  return file;
}

std::vector<fs::path> CheckpointFolder::files() const {
  std::vector<fs::path> files = files_where(folder_, [](const fs::path& file) { return step_of(file).has_value(); });
  std::ranges::sort(files, std::ranges::greater(), [](const fs::path& file) { return *step_of(file); });
  return files;
}

std::optional<CheckpointFolder::Found> CheckpointFolder::newest_whole() const {
  const std::vector<fs::path> candidates = files();
  for (const fs::path& file : candidates) {
    try {
      return Found{file, load_checkpoint(file)};
    } catch (const DamagedCheckpoint& damage) {
      log_warning("{}; an older one may be whole", damage.what());
    } catch (const Error&) {  // the process that has the run may have written newer ones and removed this
      if (place_at(file) != Place::nothing) throw;
      return newest_whole();
    }
  }
  if (candidates.empty()) return std::nullopt;
  throw Error({.who = folder_.string(),
               .expected = "a whole checkpoint",
               .got = fmt::format("{} damaged", candidates.size()),
               .hint = "start the run again with another --out"});
}

std::optional<CheckpointFolder::Found> CheckpointFolder::best() const {
  const fs::path file = folder_ / "best.h5";
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  return Found{file, load_checkpoint(file)};
}

void CheckpointFolder::prune(std::int64_t written_step) const {
  std::int64_t others = 0;
  for (const fs::path& file : files())
    if (*step_of(file) < written_step && ++others >= keep_) remove_or_warn(file);
}

void CheckpointFolder::remove_leftovers() const {
  const auto is_leftover = [](const fs::path& file) {
    const std::string name = file.filename().string();
    const std::string target = name.substr(0, name.find(".tmp."));
    return (target == "best.h5" || step_of(target)) && is_temporary_of(target, name);
  };
  for (const fs::path& file : files_where(folder_, is_leftover)) remove_or_warn(file);
}

}  // namespace qad
