#include "autograd/base/output_folder.h"

#include <fcntl.h>
#include <stdio.h>  // renameat2
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/place.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPartial = ".qad_partial";
constexpr const char* kMoves = ".qad_moves";

bool is_there(const fs::path& path) {  // a link to nowhere is something
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  if (error) throw Error({.who = folder.string(), .expected = "a folder that can be read", .got = error.message()});
  return entries;
}

bool is_folder(const fs::path& path) {  // and no link to one
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

// Adds what lies in a folder and in those below it: paths from `top`, without folders.
void add_files_below(const fs::path& folder, const fs::path& top, std::set<std::string>& names) {
  for (const fs::path& entry : entries_of(folder))
    if (is_folder(entry)) add_files_below(entry, top, names);
    else names.insert(entry.lexically_relative(top).generic_string());
}

// The folders of a file, below `top` and innermost first, as far as they are empty now.
void remove_empty_folders(const fs::path& top, const std::string& name) {
  for (fs::path folder = fs::path(name).parent_path(); !folder.empty(); folder = folder.parent_path())
    if (::rmdir((top / folder).c_str()) != 0) return;
}

void rename_file(const fs::path& from, const fs::path& to, const std::string& name) {
  const fs::path target = to / name;
  create_folders(target.parent_path());
  std::error_code error;
  fs::rename(from / name, target, error);
  if (error)
    throw Error({.who = target.string(), .expected = "a file that can be put in place", .got = error.message()});
  if (target.parent_path() != to) sync_path(target.parent_path());
  remove_empty_folders(from, name);
}

void remove_file(const fs::path& folder, const std::string& name) {
  std::error_code error;
  fs::remove(folder / name, error);
  if (error && error != std::errc::not_a_directory)
    throw Error({.who = (folder / name).string(), .expected = "a file that can be removed", .got = error.message()});
  remove_empty_folders(folder, name);
}

// Where a new folder is built until it is whole.
fs::path place_beside(const fs::path& place) {
  const std::string end = ".partial";
  return place.parent_path() / ("." + detail::cut_name(place.filename().string(), NAME_MAX - 1 - end.size()) + end);
}

// What changes in a folder when its new files are moved up; on disk a line each: "new NAME", "old NAME", "last NAME".
// Names may have folders in them.
struct Moves {
  std::set<std::string> added, given_up;
  std::string last;

  [[nodiscard]] std::string text() const {
    std::string lines;
    for (const std::string& name : added) lines += "new " + name + "\n";
    for (const std::string& name : given_up) lines += "old " + name + "\n";
    return lines + "last " + last + "\n";
  }
  static Moves read(const fs::path& file) {
    Moves moves;
    const std::string text = read_file(file, "a list of moves");
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::string line = text.substr(at, end - at), name = line.substr(std::min<std::size_t>(4, line.size()));
      if (line.starts_with("new ")) moves.added.insert(name);
      if (line.starts_with("old ")) moves.given_up.insert(name);
      if (line.starts_with("last ")) moves.last = line.substr(5);
    }
    return moves;
  }
};

// Whatever of it has been done already: after it all of it is done. While `last` is missing, the folder is not whole.
void carry_out(const Moves& moves, const fs::path& from, const fs::path& to) {
  const bool last_waits = is_there(from / moves.last);
  if (last_waits && moves.given_up.contains(moves.last)) {
    remove_file(to, moves.last);
    sync_path(to);
  }
  for (const std::string& name : moves.added)
    if (name != moves.last && is_there(from / name)) rename_file(from, to, name);
  for (const std::string& name : moves.given_up)
    if (name != moves.last && !moves.added.contains(name)) remove_file(to, name);
  sync_path(to);
  if (last_waits) rename_file(from, to, moves.last);
  sync_path(to);
  remove_file(from, kMoves);
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& target, const Replaceable& replaceable, Left left)
    : target_(target), left_(left) {
  place_ = real_place(target);
  const Place there = place_at(place_);
  is_inside_ = there == Place::folder;
  if (!is_inside_ && there != Place::nothing)
    throw Error({.who = target.string(),
                 .expected = "a new or empty folder",
                 .got = what_is_at(place_),
                 .hint = "choose another --out"},
                ExitCode::usage);
  try {
    make_partial();
    if (is_inside_ && !holds_nothing(place_, [](const std::string& name) { return name == kPartial; })) {
      if (!replaceable)
        throw Error({.who = target.string(),
                     .expected = "a new or empty folder",
                     .got = "something there already",
                     .hint = "choose another --out"},
                    ExitCode::usage);
      replaceable_ = replaceable(target_);
    }
  } catch (...) {
    give_up();
    throw;
  }
}

OutputFolder::~OutputFolder() {
  if (!is_placed_) give_up();
}

void OutputFolder::give_up() {
  std::error_code ignored;
  const auto entries = std::distance(fs::directory_iterator(partial_, ignored), fs::directory_iterator());
  if (lock_ && left_ == Left::kept && entries > 1) {
    lock_.reset();
    std::ofstream(partial_ / kPartial);  // which says whose the files are
    return;
  }
  if (lock_ && !is_there(partial_ / kMoves)) fs::remove_all(partial_, ignored);
  lock_.reset();
  if (made_partial_) ::rmdir(partial_.c_str());
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

void OutputFolder::make_partial() {
  if (is_inside_) {
    partial_ = place_ / kPartial;
    std::error_code ignored;
    if (fs::is_regular_file(fs::symlink_status(partial_, ignored))) {
      const FileLock mark(partial_);  // renamed whole by a process that ended before it removed the mark: this does
    }
  } else {
    made_ = make_folders(place_.parent_path());
    partial_ = place_beside(place_);
  }
  made_partial_ = ::mkdir(partial_.c_str(), 0777) == 0;
  if (!made_partial_) {
    if (errno != EEXIST)
      throw Error({.who = target_.string(),
                   .expected = "a folder that can be written",
                   .got = std::strerror(errno),
                   .hint = "choose another --out"});
    if (!is_folder(partial_) ||
        !(entries_of(partial_).empty() || is_there(partial_ / kPartial) || is_there(partial_ / kMoves)))
      throw Error({.who = partial_.string(),
                   .expected = "no such name, or what a killed qad left",
                   .got = "something else",
                   .hint = "move it away"});
  }
  lock_.emplace(partial_ / kPartial);
  if (!is_inside_ && is_there(place_)) not_free(EEXIST);  // made before others could see that this one comes
  if (is_inside_ && is_there(partial_ / kMoves)) carry_out(Moves::read(partial_ / kMoves), partial_, place_);
  if (left_ == Left::removed) clear();
}

void OutputFolder::clear() const {
  for (const fs::path& left : entries_of(partial_))
    if (left.filename() != kPartial) fs::remove_all(left);
}

void OutputFolder::put_in_place(const std::string& last) {
  QAD_ASSERT(!is_placed_ && is_there(partial_ / last));
  sync_path(partial_);
  if (is_inside_) move_files(last);
  else rename_whole();
}

void OutputFolder::not_free(int error) const {
  throw Error(
      {.who = target_.string(),
       .expected = "a place that stays free while what is to stand there is made",
       .got = std::strerror(error),
       .hint = left_ == Left::kept
                   ? "make the place free and give the same command again: what is done is kept in " + partial_.string()
                   : "choose another --out"});
}

void OutputFolder::rename_whole() {
  int error = 0;
  if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, place_.c_str(), RENAME_NOREPLACE) != 0) error = errno;
  if (error == EINVAL || error == ENOSYS) {  // a file system that can't promise it
    error = is_there(place_) ? EEXIST : 0;
    if (error == 0 && ::rename(partial_.c_str(), place_.c_str()) != 0) error = errno;
  }
  if (error != 0) not_free(error);
  is_placed_ = true;
  lock_.reset();  // which removes the mark
  sync_path(place_);
  sync_path(place_.parent_path());
}

void OutputFolder::move_files(const std::string& last) {
  Moves moves{{}, replaceable_, last};
  add_files_below(partial_, partial_, moves.added);
  moves.added.erase(kPartial);
  const auto refuse = [](const fs::path& path) {
    throw Error({.who = path.string(),
                 .expected = "no file of this name",
                 .got = "one that an earlier output did not make",
                 .hint = "move it away"});
  };
  for (const std::string& name : moves.added) {
    if (is_there(place_ / name) && !replaceable_.contains(name)) refuse(place_ / name);
    for (fs::path folder = fs::path(name).parent_path(); !folder.empty(); folder = folder.parent_path())
      if (is_there(place_ / folder) && !is_folder(place_ / folder)) refuse(place_ / folder);
  }
  write_file_atomically(partial_ / kMoves, moves.text());
  is_placed_ = true;  // from here on the next one to come finishes it, whatever happens
  carry_out(moves, partial_, place_);
  lock_.reset();
  ::rmdir(partial_.c_str());
  sync_path(place_);
}

void check_nobody_builds(const fs::path& folder) {
  const std::string holder = lock_holder(place_beside(real_place(folder)) / kPartial);
  if (holder.empty()) return;
  throw Error({.who = folder.string(),
               .expected = "a folder that no other qad is about to make",
               .got = holder + ", which makes it",
               .hint = "wait until it ends, or choose another --out"});
}

bool is_unfinished_output(const fs::path& folder, const std::string& last) {
  std::error_code ignored;
  const fs::path mark = folder / kPartial;
  return fs::is_regular_file(fs::symlink_status(mark, ignored)) || (is_folder(mark) && !is_there(folder / last));
}

bool holds_nothing(const fs::path& folder, const std::function<bool(const std::string& name)>& ours) {
  return std::ranges::all_of(entries_of(folder), [&](const fs::path& entry) {
    std::error_code ignored;
    const std::string name = entry.filename().string();
    return name == kLockFile || (name == "lost+found" && fs::is_directory(entry, ignored)) || (ours && ours(name));
  });
}

std::vector<fs::path> make_folders(const fs::path& folder) {
  std::vector<fs::path> made;
  for (fs::path path = folder; !is_there(path) && path.has_relative_path(); path = path.parent_path())
    made.insert(made.begin(), path);
  create_folders(folder);
  return made;
}

}  // namespace qad
