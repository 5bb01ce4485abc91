#include "autograd/core/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "autograd/core/error.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(const fs::path& path, const std::string& expected, int error) {
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error({path.string(), expected, std::strerror(error), no_room ? "free some space and resume" : ""});
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, const std::string& expected) : path_(path), expected_(expected) {
    do fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
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
  [[nodiscard]] std::string read_all() const {
    std::string contents;
    char buffer[1 << 16];
    for (;;) {
      const ssize_t count = ::read(fd_, buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(path_, expected_, errno);
      if (count == 0) return contents;
      contents.append(buffer, static_cast<std::size_t>(count));
    }
  }
  void sync() const {
    if (::fsync(fd_) != 0 && errno != EINVAL) fail(path_, expected_, errno);
  }

 private:
  int fd_ = -1;
  fs::path path_;
  std::string expected_;
};

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

}  // namespace

void write_atomically(const fs::path& target, const std::function<void(const fs::path&)>& write) {
  create_folders(folder_of(target));
  const fs::path temporary = target.string() + ".tmp." + std::to_string(::getpid());
  try {
    write(temporary);
    sync_path(temporary);
    std::error_code error;
    fs::rename(temporary, target, error);
    if (error) throw Error({target.string(), "a file that can be put in place", error.message(), ""});
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_path(folder_of(target));
}

void write_file_atomically(const fs::path& target, std::string_view contents) {
  write_atomically(target, [&](const fs::path& temporary) {
    Descriptor(temporary, O_WRONLY | O_CREAT | O_TRUNC, "a file that can be written").write(contents);
  });
}

void append_line(const fs::path& file, std::string_view line) {
  Descriptor(file, O_WRONLY | O_CREAT | O_APPEND, "a file that can be written").write(std::string(line) + "\n");
}

std::string read_file(const fs::path& file, std::string_view what) {
  if (fs::is_directory(file)) throw Error({file.string(), std::string(what), "a folder", ""});
  return Descriptor(file, O_RDONLY, std::string(what)).read_all();
}

void create_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error({folder.string(), "a folder that can be written", error.message(), "choose another --out"});
}

void sync_path(const fs::path& path) { Descriptor(path, O_RDONLY, "a file that can be synced").sync(); }

}  // namespace qad
