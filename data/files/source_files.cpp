#include "data/files/source_files.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "autograd/base/error.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder.empty() ? fs::path(".") : folder, error);
  std::vector<fs::directory_entry> entries;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) entries.push_back(*entry);
  if (error && is_there(folder))
    throw Error({.who = folder.string(), .expected = "a folder that can be read", .got = error.message()});
  return entries;
}

// Adds the files below `folder` that the parts of a pattern lead to.
void collect(const fs::path& folder, std::span<const fs::path> parts, std::set<fs::path>& found) {
  const std::string part = parts.front().string();
  const auto rest = parts.subspan(1);
  if (part == "**") {
    collect(folder, rest, found);
    for (const fs::directory_entry& entry : entries_of(folder))
      if (entry.is_directory() && !entry.is_symlink() && !entry.path().filename().string().starts_with('.'))
        collect(folder / entry.path().filename(), parts, found);
    return;
  }
  const auto take = [&](const fs::path& path) {
    if (rest.empty() && !is_folder(path)) found.insert(path);
    else if (!rest.empty() && is_folder(path)) collect(path, rest, found);
  };
  if (!has_pattern(part)) {
    if (is_there(folder / part)) take(folder / part);
    return;
  }
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const fs::path name = entry.path().filename();
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0) take(folder / name);
  }
}

std::set<fs::path> matches(const std::string& pattern) {
  const fs::path whole = pattern;
  const fs::path below = whole.relative_path();
  std::vector<fs::path> parts(below.begin(), below.end());
  if (parts.back() == "**") parts.emplace_back("*");
  std::set<fs::path> found;
  collect(whole.root_path(), parts, found);
  return found;
}

}  // namespace

bool has_pattern(const std::string& name) { return name.find_first_of("*?[") != std::string::npos; }

bool matches_files(const std::string& pattern) { return !matches(pattern).empty(); }

std::vector<fs::path> expand_files(std::span<const std::string> names, std::string_view what) {
  if (names.empty())
    throw Error({.who = "a list of files", .expected = "at least one", .got = "none"}, ExitCode::usage);
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (has_pattern(name) && !is_there(name)) {
      const std::set<fs::path> found = matches(name);
      if (found.empty())
        throw Error({.who = name,
                     .expected = "files that this pattern matches",
                     .got = "none",
                     .hint = "a pattern is relative to the working directory"},
                    ExitCode::usage);
      files.insert(files.end(), found.begin(), found.end());
    } else if (is_folder(name)) {
      throw Error({.who = name,
                   .expected = std::string(what),
                   .got = "a folder",
                   .hint = (fs::path(name) / "*.txt").string() + " names files in it"},
                  ExitCode::usage);
    } else {
      files.emplace_back(name);
    }
  }
  std::set<fs::path> seen;
  for (const fs::path& file : files) {
    std::error_code error;
    const fs::path real = fs::weakly_canonical(file, error);
    if (!seen.insert(error ? file : real).second)
      throw Error({.who = file.string(),
                   .expected = "each file once",
                   .got = "it twice",
                   .hint = "a mixture's weight repeats a text"},
                  ExitCode::usage);
  }
  return files;
}

std::string name_of_files(std::span<const fs::path> files) {
  if (files.size() == 1) return files.front().string();
  return fmt::format("{} and {} more", files.front().string(), files.size() - 1);
}

}  // namespace qad
