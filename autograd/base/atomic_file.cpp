#include "autograd/base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/place.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(const fs::path& path, const std::string& expected, int error) {
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error({.who = path.string(),
               .expected = expected,
               .got = std::strerror(error),
               .hint = no_room ? "free some space and resume" : ""},
              exit_code_of(error));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, const std::string& expected) : path_(path), expected_(expected) {
    do fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail(path_, expected_, errno);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(path_, expected_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  // A file that grows meanwhile, or says nothing of its size, is read no further than the bound.
  [[nodiscard]] std::string read_all(std::uint64_t most_bytes) const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) fail(path_, expected_, errno);
    std::string contents;
    if (const auto size = static_cast<std::uint64_t>(status.st_size); S_ISREG(status.st_mode) && size <= most_bytes)
      contents.reserve(size);
    else if (S_ISREG(status.st_mode)) too_large(most_bytes, fmt::format("{} bytes", size));
    std::vector<char> buffer(std::size_t{1} << 16);
    for (;;) {
      const ssize_t count = ::read(fd_, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(path_, expected_, errno);
      if (count == 0) return contents;
      contents.append(buffer.data(), static_cast<std::size_t>(count));
      if (contents.size() > most_bytes) too_large(most_bytes, "more");
    }
  }
  void sync() const {
    if (::fsync(fd_) != 0 && errno != EINVAL) fail(path_, expected_, errno);
  }

 private:
  [[noreturn]] void too_large(std::uint64_t most_bytes, const std::string& got) const {
    throw Error({.who = path_.string(),
                 .expected = fmt::format("{} of at most {} MiB", expected_, most_bytes >> 20),
                 .got = got});
  }

  int fd_ = -1;
  fs::path path_;
  std::string expected_;
};

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void write_atomically(const fs::path& target, const std::function<void(const fs::path&)>& write) {
  const fs::path real = real_place(target);
  detail::check_can_be_replaced(target, real);
  create_folders(real.parent_path());
  const fs::path temporary = detail::create_temporary(real);
  struct stat replaced {};
  const bool replaces = ::stat(real.c_str(), &replaced) == 0;
  const auto permit = [&](mode_t mode) {
    if (replaces) ::chmod(temporary.c_str(), mode & 07777);  // some file systems have none
  };
  try {
    permit(replaced.st_mode | S_IRUSR | S_IWUSR);  // what is private is so from the first byte
    write(temporary);
    sync_path(temporary);
    permit(replaced.st_mode);
    std::error_code error;
    fs::rename(temporary, real, error);
    if (error)
      throw Error({.who = target.string(), .expected = "a file that can be put in place", .got = error.message()});
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_path(real.parent_path());
}

void write_file_atomically(const fs::path& target, std::string_view contents) {
  write_atomically(target, [&](const fs::path& temporary) {
    Descriptor(temporary, O_WRONLY | O_TRUNC, "a file that can be written").write(contents);
  });
}

bool is_temporary_of(std::string_view target, std::string_view name) {
  const std::string start = std::string(target) + ".tmp.";
  if (!name.starts_with(start)) return false;
  const std::string_view numbers = name.substr(start.size());  // as detail::create_temporary makes them
  const std::size_t dot = numbers.find('.');
  return all_digits(numbers.substr(0, dot)) && (dot == std::string_view::npos || all_digits(numbers.substr(dot + 1)));
}

void refuse_irregular_file(const fs::path& file, std::string_view what) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw Error({.who = file.string(), .expected = std::string(what), .got = what_is_at(file)});
}

void append_bytes(const fs::path& file, std::string_view bytes) {
  refuse_irregular_file(file, "a file that can be written");
  Descriptor(file, O_WRONLY | O_CREAT | O_APPEND, "a file that can be written").write(bytes);
}

void append_line(const fs::path& file, std::string_view line) { append_bytes(file, std::string(line) + "\n"); }

std::string read_file(const fs::path& file, std::string_view what, std::uint64_t most_bytes) {
  refuse_irregular_file(file, what);
  // A pipe that takes its place in between does not hang either.
  return Descriptor(file, O_RDONLY | O_NONBLOCK, std::string(what)).read_all(most_bytes);
}

std::string read_file_or_pipe(const fs::path& file, std::string_view what, std::uint64_t most_bytes) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
    throw Error({.who = file.string(), .expected = std::string(what), .got = what_is_at(file)});
  return Descriptor(file, O_RDONLY, std::string(what)).read_all(most_bytes);
}

void create_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error({.who = folder.string(),
                 .expected = "a folder that can be written",
                 .got = error.message(),
                 .hint = "choose another --out"});
}

void sync_path(const fs::path& path) {
  struct stat status {};  // a folder that may be written and not read can't be opened
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && ::access(path.c_str(), R_OK) != 0) return;
  Descriptor(path, O_RDONLY, "a file that can be synced").sync();
}

}  // namespace qad
