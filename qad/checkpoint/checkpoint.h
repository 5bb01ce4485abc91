// A checkpoint: named tensors, texts and numbers in one HDF5 file that is either whole or recognised as damaged. What
// the names mean is the trainer's business; which files stay in a run's folder is checkpoint_folder's.
//
// On disk: the seal (qad/checkpoint/seal.h), then groups `tensors`, `texts`, `numbers`, and last `manifest`, JSON text
// with the program, every tensor's dtype, shape and XXH3-64, every text's size and XXH3-64, and the numbers. h5py opens
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>

#include "autograd/core/tensor.h"
#include "qad/checkpoint/seal.h"

namespace qad {

inline constexpr std::uint32_t kCheckpointFormatVersion = 1;

/// Names may have slashes, which become HDF5 groups; no name may be a folder of another.
struct CheckpointContent {
  using Number = std::variant<std::int64_t, std::uint64_t, double>;

  std::map<std::string, Tensor> tensors;  ///< of any dtype and shape
  std::map<std::string, std::string> texts;
  std::map<std::string, Number> numbers;
  std::string program;  ///< that wrote it, "qad 0.1.0"; filled by load_checkpoint, ignored by save_checkpoint
};

/// Writes beside `file`, closes, reads back and compares, syncs, renames: an older file at this place stays until the
/// new one is safe, and nothing stays of one that failed. Throws if the file system has too little room or fails.
/// The same content gives the same bytes.
void save_checkpoint(const std::filesystem::path& file, const CheckpointContent& content);

/// Throws DamagedCheckpoint for a file that is cut off or changed, Error for a later format version or a missing file.
[[nodiscard]] CheckpointContent load_checkpoint(const std::filesystem::path& file);

}  // namespace qad
