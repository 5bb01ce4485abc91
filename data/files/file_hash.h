// Fingerprints of whole files that are computed at the speed of the disk or the memory, over all cores: a file is cut
// into pieces of 8 MiB, each with a hash of its own. One stream over a file is hash_file (data/files/hash.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/files/hash.h"
#include "data/files/planned_file.h"

namespace qad {

inline constexpr std::uint64_t kHashedPiece = std::uint64_t{8} << 20;

/// `hash` of a file of up to 8 MiB is its XXH3-128 (`xxhsum -H128` prints the same); of a larger one the XXH3-128 of
/// the hashes of its pieces in their order, each 16 bytes as xxhsum prints them, the high half first, big-endian.
struct FileHash {
  std::uint64_t bytes = 0;
  Hash128 hash;
  friend bool operator==(const FileHash&, const FileHash&) = default;
};

/// One for each file. Throws Error that names the first file that is no regular file or can't be read to its end.
[[nodiscard]] std::vector<FileHash> hash_files(std::span<const std::filesystem::path> files);

/// That of a file which is written tensor by tensor: a piece is hashed as soon as its last tensor is there, while its
/// bytes are still in memory.
class GrowingFileHash {
 public:
  explicit GrowingFileHash(const PlannedFile& file);

  /// `file`: all of it, of which the tensor has been written now, once.
  void add(const PlannedTensor& tensor, std::span<const std::byte> file);
  /// Of the whole file, with its header; reads what add() has not hashed.
  [[nodiscard]] FileHash hash(std::span<const std::byte> file) const;

 private:
  struct Window {
    std::uint64_t missing = 0;  ///< bytes of tensors
    bool has_header = false;
    std::optional<Hash128> hash{};
  };
  std::vector<Window> windows_;
};

}  // namespace qad
