#include "data/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/place.h"

namespace qad {

MappedFile::MappedFile(const std::filesystem::path& file, std::string_view what) {
  const auto fail = [&](std::string_view reason, ExitCode code = ExitCode::failed) {
    throw Error({.who = file.string(), .expected = std::string(what), .got = std::string(reason)}, code);
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(std::strerror(errno), exit_code_of(errno));
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  const bool regular = known && S_ISREG(status.st_mode);
  void* address = nullptr;
  int error = known ? 0 : errno;
  if (regular && status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) error = errno;
  }
  ::close(fd);
  if (error != 0) fail(std::strerror(error));
  if (!regular) fail(what_is_at(file));
  data_ = static_cast<const std::byte*>(address);
  note_mapping(bytes());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  drop_mapping(bytes());
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace qad
