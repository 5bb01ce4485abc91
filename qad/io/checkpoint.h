// One checkpoint file: named tensors, texts and numbers in HDF5, whole or not at all. What they mean is the trainer's
// business (qad/train/run_state.h); where the files lie, checkpoint_folder.h's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>

#include "autograd/core/tensor.h"

namespace qad {

/// The layout of the file; one that is later than this program knows is refused.
inline constexpr std::int64_t kCheckpointFormatVersion = 1;

struct CheckpointContent {
  std::map<std::string, Tensor> tensors;  ///< f32, bf16, f16, i32, i64, u8; names may contain '/'
  std::map<std::string, std::string> texts;
  std::map<std::string, std::variant<std::int64_t, double>> numbers;  ///< bit-exact, NaN included
};

/// Writes beside the target, verifies what was written, syncs and renames. Throws, leaving what was there, when the disk is
/// full or the folder can't be written. The same content gives the same bytes.
void save_checkpoint(const std::filesystem::path& file, const CheckpointContent& content);

/// Checks length and hash of the whole file before the HDF5 library sees it. Throws Error naming the file when it is
/// damaged, cut off, no checkpoint, or of a later format version.
[[nodiscard]] CheckpointContent load_checkpoint(const std::filesystem::path& file);

}  // namespace qad
