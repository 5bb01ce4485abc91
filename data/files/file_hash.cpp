#include "data/files/file_hash.h"

#include <sys/mman.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "data/files/mapped_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

struct Piece {
  std::span<const std::byte> bytes;
  XXH128_canonical_t hash{};
  bool unreadable = false;

  // Asks for the pages first: a bad sector, or an end that has come nearer, is then an answer and not a SIGBUS.
  void compute() {
    void* const pages = const_cast<std::byte*>(bytes.data());
    if (!bytes.empty() && ::madvise(pages, bytes.size(), MADV_POPULATE_READ) != 0 && errno != EINVAL) unreadable = true;
    else XXH128_canonicalFromHash(&hash, XXH3_128bits(bytes.data(), bytes.size()));
  }
};

void cut(std::span<const std::byte> file, std::vector<Piece>& pieces) {
  do {
    const std::size_t bytes = std::min<std::size_t>(file.size(), kHashedPiece);
    pieces.push_back({file.first(bytes)});
    file = file.subspan(bytes);
  } while (!file.empty());
}

Hash128 hash_of(std::span<const Piece> pieces) {
  std::string hashes;
  for (const Piece& piece : pieces)
    hashes.append(reinterpret_cast<const char*>(piece.hash.digest), sizeof piece.hash.digest);
  if (pieces.size() > 1) return hash128(hashes);
  const XXH128_hash_t only = XXH128_hashFromCanonical(&pieces.front().hash);
  return {only.low64, only.high64};
}

}  // namespace

std::vector<FileHash> hash_files(std::span<const fs::path> files) {
  std::vector<MappedFile> mapped;
  std::vector<Piece> pieces;
  std::vector<std::size_t> ends;  // of each file's pieces
  for (const fs::path& file : files) {
    mapped.emplace_back(file, "a readable file");
    cut(mapped.back().bytes(), pieces);
    ends.push_back(pieces.size());
  }
  parallel_for(std::ssize(pieces), 1,
               [&](std::int64_t piece, std::int64_t) { pieces[static_cast<std::size_t>(piece)].compute(); });

  std::vector<FileHash> result;
  for (std::size_t i = 0, begin = 0; i < files.size(); begin = ends[i++]) {
    const auto own = std::span(pieces).subspan(begin, ends[i] - begin);
    if (std::ranges::any_of(own, &Piece::unreadable))
      throw Error({.who = files[i].string(),
                   .expected = "a readable file",
                   .got = std::strerror(EIO),
                   .hint = "is the disk damaged?"});
    result.push_back({mapped[i].bytes().size(), hash_of(own)});
  }
  return result;
}

}  // namespace qad
