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

namespace {

// Calls visit(window, bytes of the tensor in it).
template <class Visit>
void for_windows(const PlannedTensor& tensor, Visit&& visit) {
  const std::uint64_t end = tensor.begin + tensor.bytes;
  for (std::uint64_t at = tensor.begin; at < end;) {
    const std::uint64_t window = at / kHashedPiece, next = std::min(end, (window + 1) * kHashedPiece);
    visit(static_cast<std::size_t>(window), next - at);
    at = next;
  }
}

std::span<const std::byte> window_of(std::span<const std::byte> file, std::size_t window) {
  const std::size_t begin = window * kHashedPiece;
  return file.subspan(begin, std::min<std::size_t>(kHashedPiece, file.size() - begin));
}

}  // namespace

GrowingFileHash::GrowingFileHash(const PlannedFile& file)
    : windows_(std::max<std::size_t>(1, (file.bytes + kHashedPiece - 1) / kHashedPiece)) {
  for (std::size_t i = 0; i < windows_.size(); ++i) windows_[i].has_header = i * kHashedPiece < file.header.size();
  for (const PlannedTensor& tensor : file.tensors)
    for_windows(tensor, [&](std::size_t window, std::uint64_t bytes) { windows_[window].missing += bytes; });
}

void GrowingFileHash::add(const PlannedTensor& tensor, std::span<const std::byte> file) {
  std::vector<std::size_t> whole;
  for_windows(tensor, [&](std::size_t window, std::uint64_t bytes) {
    windows_[window].missing -= bytes;
    if (windows_[window].missing == 0 && !windows_[window].has_header) whole.push_back(window);
  });
  parallel_for(std::ssize(whole), 1, [&](std::int64_t i, std::int64_t) {
    const std::size_t window = whole[static_cast<std::size_t>(i)];
    Piece piece{window_of(file, window)};
    piece.compute();
    const XXH128_hash_t hash = XXH128_hashFromCanonical(&piece.hash);
    if (!piece.unreadable) windows_[window].hash = Hash128{hash.low64, hash.high64};
  });
}

FileHash GrowingFileHash::hash(std::span<const std::byte> file) const {
  std::vector<Piece> pieces;
  cut(file, pieces);
  QAD_ASSERT(pieces.size() == windows_.size());
  parallel_for(std::ssize(pieces), 1, [&](std::int64_t i, std::int64_t) {
    Piece& piece = pieces[static_cast<std::size_t>(i)];
    const std::optional<Hash128>& known = windows_[static_cast<std::size_t>(i)].hash;
    if (known) XXH128_canonicalFromHash(&piece.hash, {known->low, known->high});
    else piece.compute();
  });
  if (std::ranges::any_of(pieces, &Piece::unreadable))
    throw Error({.who = "a file of the export", .expected = "a readable file", .got = std::strerror(EIO)});
  return {file.size(), hash_of(pieces)};
}

}  // namespace qad
