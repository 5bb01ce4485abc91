// Writes safetensors: one file, or a Hugging Face folder that is sharded at a size limit. Files appear whole or not at
// all, and the same tensors give the same bytes. Reading is data/files/safetensors.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "autograd/core/tensor.h"
#include "data/files/planned_file.h"

namespace qad {

/// One tensor to write; the bytes stay the caller's.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;                 ///< the format's name: "F32", "BF16", "F8_E4M3", "U8", …
  std::vector<std::int64_t> shape;   ///< of any rank; empty for a scalar
  std::span<const std::byte> bytes;  ///< row-major, little-endian
};

using SafetensorsMetadata = std::map<std::string, std::string>;
/// What transformers asks of every file.
[[nodiscard]] inline SafetensorsMetadata default_safetensors_metadata() { return {{"format", "pt"}}; }

/// A tensor before it has values.
struct SafetensorsSpec {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
};

/// An entry with the tensor's own dtype (F32, BF16, F16, I64, I32, U8). The tensor must outlive it.
[[nodiscard]] SafetensorsEntry safetensors_entry(const std::string& name, const Tensor& tensor);

/// Throws for a name given twice, an unknown dtype, and bytes that do not fit dtype and shape.
void write_safetensors(const std::filesystem::path& file, std::vector<SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata = default_safetensors_metadata());

/// What write_safetensors_folder makes of tensors, but for their values.
struct SafetensorsFolderPlan {
  std::vector<PlannedFile> files;
  std::string index;  ///< the text of model.safetensors.index.json; empty: there is one file
};
/// `who` is the folder's name for errors.
[[nodiscard]] SafetensorsFolderPlan plan_safetensors_folder(
    const std::vector<SafetensorsSpec>& specs, std::uint64_t shard_bytes, const std::string& who,
    const SafetensorsMetadata& metadata = default_safetensors_metadata());
inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";

/// model.safetensors when all fits into `shard_bytes`; else model-00001-of-0000N.safetensors and their index, filled in
/// the order given. Neighbours with one parent (a weight and its scales) stay together; a parent or a tensor that is
/// larger than a shard gets one of its own. Refuses a folder that holds weights in the other of the two layouts.
void write_safetensors_folder(const std::filesystem::path& folder, const std::vector<SafetensorsEntry>& entries,
                              std::uint64_t shard_bytes,
                              const SafetensorsMetadata& metadata = default_safetensors_metadata());

}  // namespace qad
