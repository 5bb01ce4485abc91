#include "qad/checkpoint/seal.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

#include "autograd/base/atomic_file.h"
#include "autograd/base/place.h"
#include "data/files/hash.h"

static_assert(std::endian::native == std::endian::little, "seals are little-endian");

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kMagic("qad checkpoint\n\0", 16);

struct Seal {
  std::array<char, 16> magic{};
  std::uint32_t format_version = 0;
  std::uint32_t zero = 0;
  std::uint64_t file_bytes = 0;
  Hash128 content;
  std::array<char, 456> zeros{};
  std::uint64_t seal_hash = 0;

  [[nodiscard]] bool has_magic() const { return std::string_view(magic.data(), magic.size()) == kMagic; }
  [[nodiscard]] std::uint64_t computed_hash() const {
    return hash64(std::as_bytes(std::span(this, 1)).first(offsetof(Seal, seal_hash)));
  }
};
static_assert(sizeof(Seal) == kSealBytes);

// What a file begins with, and how long it is: of one opened file, since the run that owns it may remove it meanwhile.
struct Front {
  Seal seal;
  std::size_t seal_bytes = 0;
  std::uint64_t file_bytes = 0;
};

Front read_front(const fs::path& file) {
  const Place there = place_at(file);
  if (there != Place::folder) refuse_irregular_file(file, "a checkpoint");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (in && there == Place::folder) errno = EISDIR;
  if (!in || errno == EISDIR)
    throw Error({.who = file.string(),
                 .expected = "a checkpoint",
                 .got = errno != 0 ? std::strerror(errno) : "a file that can't be read"});
  Front front;
  in.read(reinterpret_cast<char*>(&front.seal), sizeof front.seal);
  front.seal_bytes = static_cast<std::size_t>(in.gcount());
  in.clear();
  front.file_bytes = static_cast<std::uint64_t>(in.seekg(0, std::ios::end).tellg());
  return front;
}

}  // namespace

void write_seal(const fs::path& file, std::uint32_t format_version) {
  Seal seal;
  kMagic.copy(seal.magic.data(), seal.magic.size());
  seal.format_version = format_version;
  seal.file_bytes = fs::file_size(file);
  seal.content = hash_file(file, kSealBytes);
  seal.seal_hash = seal.computed_hash();
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.write(reinterpret_cast<const char*>(&seal), sizeof seal);
  out.close();
  if (!out) throw Error({.who = file.string(), .expected = "a file that can be written", .got = std::strerror(errno)});
}

std::uint32_t check_seal(const fs::path& file, std::uint32_t newest_version) {
  const std::string who = file.string();
  const auto [seal, seal_bytes, bytes] = read_front(file);
  if (seal_bytes < sizeof seal)
    throw DamagedCheckpoint(
        {who, "a whole checkpoint", fmt::format("one that is cut off after {} bytes", seal_bytes), ""});
  if (!seal.has_magic()) throw DamagedCheckpoint({who, "a checkpoint", "another file or a damaged one", ""});
  if (seal.seal_hash != seal.computed_hash())
    throw DamagedCheckpoint({who, "a whole checkpoint", "a damaged one (its first 512 bytes changed)", ""});
  if (seal.format_version > newest_version)
    throw Error({.who = who,
                 .expected = fmt::format("a checkpoint of format version {} or before", newest_version),
                 .got = fmt::format("version {}", seal.format_version),
                 .hint = "it needs a later qad"});
  if (bytes != seal.file_bytes)
    throw DamagedCheckpoint(
        {who, fmt::format("a checkpoint of {} bytes", seal.file_bytes),
         fmt::format("one that is {} {}", bytes < seal.file_bytes ? "cut off after" : "followed by more, up to", bytes),
         ""});
  Hash128 content;
  try {
    content = hash_file(file, kSealBytes);
  } catch (const Error& unreadable) {  // a bad sector
    throw DamagedCheckpoint({who, "", std::string(unreadable.what()).substr(who.size() + 2), ""});
  }
  if (content != seal.content)
    throw DamagedCheckpoint({who, "a whole checkpoint", "a damaged one (its content does not fit its hash)", ""});
  return seal.format_version;
}

bool has_seal(const fs::path& file) {
  const Front front = read_front(file);
  return front.seal_bytes == sizeof front.seal && front.seal.has_magic();
}

}  // namespace qad
