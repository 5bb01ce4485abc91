#include "data/files/planned_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail_at(const fs::path& file, int error) {
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error({file.string(), "a file that can be written", std::strerror(error), no_room ? "free some space" : ""},
              exit_code_of(error));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void write_planned_file(const fs::path& folder, const PlannedFile& file,
                        const std::function<std::span<const std::byte>(std::string_view tensor)>& bytes_of) {
  write_atomically(folder / file.name, [&](const fs::path& temporary) {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(temporary.c_str(), "wbe"), &std::fclose);
    if (out == nullptr) fail_at(folder / file.name, errno);
    std::uint64_t position = 0;
    const auto write = [&](std::string_view bytes) {
      if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), out.get()) != bytes.size())
        fail_at(folder / file.name, errno);
      position += bytes.size();
    };
    const auto fill_up_to = [&](std::uint64_t place) {
      QAD_ASSERT(place >= position);
      write(std::string(place - position, '\0'));
    };
    write(file.header);
    for (const PlannedTensor& tensor : file.tensors) {
      fill_up_to(tensor.begin);
      const std::span<const std::byte> bytes = bytes_of(tensor.name);
      QAD_ASSERT(bytes.size() == tensor.bytes);
      write(text_of(bytes));
    }
    fill_up_to(file.bytes);
    if (std::fclose(out.release()) != 0) fail_at(folder / file.name, errno);
  });
}

PlannedFileWriter::PlannedFileWriter(const fs::path& folder, const PlannedFile& file)
    : path_(folder / file.name), bytes_(file.bytes) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) fail(errno);
  int error = ::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0 ? 0 : errno;
  // Room for all of it, so that a disk that has none says so now. Not every file system can promise that.
  if (error == 0 && bytes_ > 0 && ::fallocate(fd_, 0, 0, static_cast<off_t>(bytes_)) != 0)
    error = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR ? 0 : errno;
  if (error == 0) return;
  ::close(std::exchange(fd_, -1));
  fail(error);
}

PlannedFileWriter::PlannedFileWriter(PlannedFileWriter&& other) noexcept
    : path_(std::move(other.path_)), bytes_(other.bytes_), fd_(std::exchange(other.fd_, -1)) {}

PlannedFileWriter::~PlannedFileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void PlannedFileWriter::fail(int error) const { fail_at(path_, error); }

void PlannedFileWriter::write(std::uint64_t at, std::string_view bytes) const {
  QAD_ASSERT(at + bytes.size() <= bytes_);
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    at += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void PlannedFileWriter::put(const PlannedTensor& tensor, std::span<const std::byte> bytes) const {
  QAD_ASSERT(bytes.size() == tensor.bytes);
  write(tensor.begin, text_of(bytes));
}

void PlannedFileWriter::start_flush() const {
  static_cast<void>(::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE));  // a wish; finish() is what counts
}

void PlannedFileWriter::finish(std::string_view header) const {
  write(0, header);
  if (::fsync(fd_) != 0 && errno != EINVAL) fail(errno);
}

}  // namespace qad
