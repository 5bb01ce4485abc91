#include "data/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/place.h"

namespace qad {
namespace {

// First byte and size of what is mapped now.
std::mutex mappings_mutex;
std::map<const std::byte*, std::size_t>& mappings() {
  static auto* const all = new std::map<const std::byte*, std::size_t>;  // files may outlive any static
  return *all;
}

}  // namespace

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
  const std::lock_guard lock(mappings_mutex);
  if (data_ != nullptr) mappings()[data_] = size_;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  {
    const std::lock_guard lock(mappings_mutex);
    mappings().erase(data_);
  }
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void forget_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes.size()) / page * page;
  const std::lock_guard lock(mappings_mutex);
  auto mapping = mappings().upper_bound(bytes.data());
  if (mapping == mappings().begin() || first >= last) return;
  --mapping;
  if (bytes.data() + bytes.size() > mapping->first + mapping->second) return;
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

namespace {

// The whole pages around them.
int advise_around(std::span<const std::byte> bytes, int advice) {
  if (bytes.empty()) return 0;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size();
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

void ask_for_pages(std::span<const std::byte> bytes) {
  constexpr std::size_t kAtOnce = std::size_t{128} << 10;  // of more Linux reads the beginning alone
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kAtOnce)))
    static_cast<void>(advise_around(bytes.first(std::min(bytes.size(), kAtOnce)), MADV_WILLNEED));
}

bool read_pages(std::span<const std::byte> bytes) {
  return advise_around(bytes, MADV_POPULATE_READ) == 0 || errno == EINVAL;  // older kernels know no such advice
}

}  // namespace qad
