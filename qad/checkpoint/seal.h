// The seal at the front of a checkpoint: 512 bytes that HDF5 skips (its user block) and that say whether every byte
// after them is as it was written. It is checked before the HDF5 library sees the file, because that library reads a
// hole as zeros and damage as data.
//
//     0  "qad checkpoint\n\0" | 16 format version u32 | 20 zero u32 | 24 bytes of the whole file u64
//     32 XXH3-128 of all that follows the seal, low u64, high u64 | 48 zeros | 504 XXH3-64 of bytes 0 to 503, u64
#pragma once

#include <cstdint>
#include <filesystem>

#include "autograd/base/error.h"

namespace qad {

inline constexpr std::uint64_t kSealBytes = 512;

/// The file is cut off, changed, or was never a checkpoint. An older one may be whole.
class DamagedCheckpoint : public Error {
 public:
  using Error::Error;
};

/// Writes the seal over the first 512 bytes of a file that is otherwise ready.
void write_seal(const std::filesystem::path& file, std::uint32_t format_version);

/// Reads the whole file. Returns its format version, at most `newest_version`. Throws DamagedCheckpoint, or Error for a
/// file that can't be opened and for a later version.
[[nodiscard]] std::uint32_t check_seal(const std::filesystem::path& file, std::uint32_t newest_version);

/// Whether a file begins as a checkpoint does.
[[nodiscard]] bool has_seal(const std::filesystem::path& file);

}  // namespace qad
