#include "autograd/base/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/mapped_pages.h"

namespace qad {

ScratchFile::ScratchFile(const std::filesystem::path& folder, std::size_t bytes, const std::string& what) {
  if (bytes == 0) return;
  const auto fail = [&](int error) {
    throw Error({.who = folder.string(),
                 .expected = fmt::format("{:.1f} MiB of room for {}", static_cast<double>(bytes) / (1 << 20), what),
                 .got = std::strerror(error),
                 .hint = "free some space"});
  };
  std::string name = (folder / ".qad_scratch.XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail(errno);
  ::unlink(name.c_str());
  int error = 0;
  do error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  while (error == EINTR);
  void* address = nullptr;
  if (error == 0) {
    address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) error = errno;
  }
  ::close(fd);
  if (error != 0) fail(error);
  bytes_ = {static_cast<std::byte*>(address), bytes};
  note_mapping(bytes_);
}

ScratchFile::~ScratchFile() {
  if (bytes_.empty()) return;
  drop_mapping(bytes_);
  ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace qad
