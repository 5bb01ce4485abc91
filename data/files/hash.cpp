#include "data/files/hash.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "autograd/base/error.h"

namespace qad {

struct Hasher128::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher128::Hasher128() : state_(std::make_unique<State>()) {}
Hasher128::~Hasher128() = default;

void Hasher128::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

Hash128 Hasher128::hash() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.low64, hash.high64};
}

std::uint64_t hash64(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint64_t hash64(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

Hash128 hash128(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

Hash128 hash_file(const std::filesystem::path& file, std::uint64_t begin) {
  const auto fail = [&] {
    throw Error({.who = file.string(), .expected = "a readable file", .got = std::strerror(errno)});
  };
  struct Descriptor {
    int fd;
    ~Descriptor() { ::close(fd); }
  };
  const Descriptor descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.fd < 0) fail();

  Hasher128 hasher;
  std::vector<std::byte> buffer(std::size_t{1} << 16);
  for (auto offset = static_cast<off_t>(begin);;) {
    const ssize_t count = ::pread(descriptor.fd, buffer.data(), buffer.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail();
    if (count == 0) break;
    hasher.add(std::span(std::as_const(buffer)).first(static_cast<std::size_t>(count)));
    offset += count;
  }
  return hasher.hash();
}

std::string hex(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::string hex(const Hash128& hash) { return hex(hash.high) + hex(hash.low); }

}  // namespace qad
