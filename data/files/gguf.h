// GGUF version 3, the file of llama.cpp: typed metadata and tensors in one file. Reading and writing of the container;
// which keys and tensors a model has is qad/layouts/gguf.h.
//
//     "GGUF" | u32 3 | u64 tensors | u64 pairs | pairs | tensor infos | padding to 32 | tensors, each padded to 32
//     pair: key, u32 type, value        info: name, u32 axes, u64 extents innermost first, u32 type, u64 offset
//
// All little-endian; a string is its u64 length and its bytes. Of metadata types only those below are written and read.
// Source: llama.cpp v0.5.0, ggml/src/gguf.cpp and include/gguf.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "data/files/planned_file.h"

namespace qad {

using GgufValue = std::variant<std::uint32_t, float, bool, std::string, std::vector<std::int32_t>, std::vector<float>,
                               std::vector<std::string>>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  ///< in the order of the file

/// The value of a key of type T; null if there is none.
template <class T>
[[nodiscard]] const T* find_metadata(const GgufMetadata& metadata, std::string_view key) {
  for (const auto& [name, value] : metadata)
    if (name == key) return std::get_if<T>(&value);
  return nullptr;
}

/// How a tensor's values are stored: in blocks along its innermost axis.
struct GgufType {
  std::string_view name;
  std::uint32_t id;
  std::int64_t values, bytes;  ///< of a block
};
/// F32, F16, BF16, MXFP4 (type 39) and NVFP4 (type 40); an unknown name is an Error that lists those known.
[[nodiscard]] const GgufType& gguf_type(std::string_view name);

struct GgufInfo {
  std::string name;
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;  ///< of values, outermost first; one to four axes
  std::uint64_t begin = 0;          ///< of its bytes, in the file
  std::uint64_t bytes = 0;
};

struct GgufContents {
  GgufMetadata metadata;
  std::vector<GgufInfo> tensors;  ///< in the order of the file
};
/// Reads and checks all but the tensors' values: after that every tensor's bytes lie in the file. `who` names it in
/// errors.
[[nodiscard]] GgufContents parse_gguf(std::span<const std::byte> file, const std::string& who);

/// A tensor before it has values.
struct GgufSpec {
  std::string name;  ///< at most 63 bytes
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;
};
/// What write_gguf makes of them. `file` names it in errors; how long the header is follows from the metadata's keys
/// and types and from the lengths of its texts and lists. Throws for names that are taken or too long.
[[nodiscard]] PlannedFile plan_gguf(const std::filesystem::path& file, const GgufMetadata& metadata,
                                    const std::vector<GgufSpec>& specs);

/// A tensor to write; the bytes stay the caller's.
struct GgufEntry {
  std::string name;  ///< at most 63 bytes
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};
/// The file appears whole or not at all. Throws for names that are taken or too long, and for bytes that do not fit.
void write_gguf(const std::filesystem::path& file, const GgufMetadata& metadata, const std::vector<GgufEntry>& tensors);

}  // namespace qad
