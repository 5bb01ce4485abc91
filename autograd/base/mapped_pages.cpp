#include "autograd/base/mapped_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>

namespace qad {
namespace {

// First byte and size of what is mapped now.
std::mutex mappings_mutex;
std::map<const std::byte*, std::size_t>& mappings() {
  static auto* const all = new std::map<const std::byte*, std::size_t>;  // files may outlive any static
  return *all;
}

}  // namespace

void note_mapping(std::span<const std::byte> mapping) {
  const std::lock_guard lock(mappings_mutex);
  if (!mapping.empty()) mappings()[mapping.data()] = mapping.size();
}

void drop_mapping(std::span<const std::byte> mapping) {
  const std::lock_guard lock(mappings_mutex);
  mappings().erase(mapping.data());
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

void prefer_large_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

void ask_for_pages(std::span<const std::byte> bytes) {
  constexpr std::size_t kAtOnce = std::size_t{128} << 10;  // of more Linux reads the beginning alone
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kAtOnce)))
    static_cast<void>(advise_around(bytes.first(std::min(bytes.size(), kAtOnce)), MADV_WILLNEED));
}

bool read_pages(std::span<const std::byte> bytes) {
  return advise_around(bytes, MADV_POPULATE_READ) == 0 || errno == EINVAL;  // older kernels know no such advice
}

}  // namespace qad
