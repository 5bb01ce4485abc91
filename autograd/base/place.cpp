#include "autograd/base/place.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

#include "autograd/base/error.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr int kMostLinks = 40;  // as the kernel follows

Place place_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return Place::file;
    case S_IFDIR: return Place::folder;
    case S_IFIFO: return Place::pipe;
    case S_IFSOCK: return Place::socket;
    default: return Place::device;
  }
}

std::string text_of(Place place) {
  switch (place) {
    case Place::nothing: return "nothing there";
    case Place::file: return "a file";
    case Place::folder: return "a folder";
    case Place::pipe: return "a pipe";
    case Place::socket: return "a socket";
    case Place::device: return "a device";
    case Place::hidden: break;
  }
  return "something hidden";
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

[[noreturn]] void unreachable_place(const fs::path& path, int error) {
  if (error != ENOTDIR)
    throw Error({.who = path.string(), .expected = "a place that can be reached", .got = std::strerror(error)});
  fs::path in_the_way = parent_of(path);
  while (place_at(in_the_way) == Place::hidden && in_the_way.has_parent_path()) in_the_way = in_the_way.parent_path();
  throw Error({.who = in_the_way.string(),
               .expected = "a folder that can be written",
               .got = what_is_at(in_the_way),
               .hint = "choose another place"});
}

// "out/" and "out/." are "out".
fs::path without_end(fs::path path) {
  while (path.has_relative_path() && (path.filename().empty() || path.filename() == ".") &&
         path.parent_path().has_relative_path())
    path = path.parent_path();
  return path;
}

bool lies_in_proc(const fs::path& path) {
  struct statfs system {};
  return ::statfs(parent_of(path).c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// Follows the links at the end of a path, `left` at most. What stands before it is left to the kernel, which may pass
// through folders that can't be looked into; folders on the way may be missing.
fs::path followed(const fs::path& start, int left) {
  for (fs::path path = without_end(start); left >= 0; --left) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
      if (errno != ENOENT || path.filename() == "..") unreachable_place(path, errno);
      return followed(parent_of(path), left) / path.filename();
    }
    if (!S_ISLNK(status.st_mode)) return path.has_parent_path() || path == "." ? path : "." / path;
    if (lies_in_proc(path))
      throw Error({.who = start.string(),
                   .expected = "a place of its own for a file",
                   .got = "an open file of a process",
                   .hint = "name a file"},
                  ExitCode::usage);
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error) unreachable_place(path, error.value());
    path = without_end(parent_of(path) / target);  // an absolute target replaces the rest
  }
  unreachable_place(start, ELOOP);
}

}  // namespace

Place place_at(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return place_of(status.st_mode);
  return errno == ENOENT ? Place::nothing : Place::hidden;
}

std::string what_is_at(const fs::path& path) {
  const Place place = place_at(path);
  return place == Place::hidden ? std::strerror(errno) : text_of(place);
}

std::int64_t bytes_in_folder(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  return bytes;
}

fs::path real_place(const fs::path& path) {
  if (path.empty())
    throw Error({.who = "a path", .expected = "one that is not empty", .got = "an empty one"}, ExitCode::usage);
  return followed(path, kMostLinks);
}

void detail::check_can_be_replaced(const fs::path& file, const fs::path& real) {
  struct statx status {};
  if (::statx(AT_FDCWD, real.c_str(), 0, STATX_BASIC_STATS, &status) != 0) {
    if (errno == ENOENT) return;
    unreachable_place(file, errno);
  }
  const auto refuse = [&](const std::string& got) {
    throw Error({.who = file.string(),
                 .expected = "a new file, or one that can be replaced",
                 .got = got,
                 .hint = "name another"},
                ExitCode::usage);
  };
  if (!S_ISREG(status.stx_mode)) refuse(text_of(place_of(status.stx_mode)));
  if ((status.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0)
    refuse("one with the attribute immutable or append-only");
  if ((status.stx_attributes_mask & status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) refuse("a mount point");
  struct stat folder {};
  const bool sticky = ::stat(real.parent_path().c_str(), &folder) == 0 && (folder.st_mode & S_ISVTX) != 0;
  const uid_t self = ::geteuid();
  if (sticky && self != 0 && self != status.stx_uid && self != folder.st_uid)
    refuse("another user's in a folder with the sticky bit");
}

std::string detail::cut_name(std::string name, std::size_t bytes) {
  if (name.size() <= bytes) return name;
  while (bytes > 0 && (static_cast<unsigned char>(name[bytes]) & 0xc0) == 0x80) --bytes;
  return name.substr(0, bytes);
}

fs::path detail::create_temporary(const fs::path& real) {
  const std::string process = ".tmp." + std::to_string(::getpid());
  for (int attempt = 0;; ++attempt) {  // one that was killed may have had the same number
    const std::string suffix = process + (attempt == 0 ? "" : "." + std::to_string(attempt));
    const fs::path path = real.parent_path() / (cut_name(real.filename().string(), NAME_MAX - suffix.size()) + suffix);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      ::close(fd);
      return path;
    }
    if (errno != EEXIST && errno != EINTR) {
      const bool no_room = errno == ENOSPC || errno == EDQUOT;
      throw Error({.who = real.string(),
                   .expected = "a file that can be written",
                   .got = std::strerror(errno),
                   .hint = no_room ? "free some space and resume" : ""});
    }
  }
}

void check_file_place(const fs::path& file) {
  const fs::path real = real_place(file);
  detail::check_can_be_replaced(file, real);
  if (real.filename().empty())
    throw Error({.who = file.string(), .expected = "a file", .got = "a folder"}, ExitCode::usage);
  fs::path folder = real.parent_path();
  while (place_at(folder) == Place::nothing) folder = folder.parent_path();
  ::unlink(detail::create_temporary(folder / real.filename()).c_str());
}

}  // namespace qad
