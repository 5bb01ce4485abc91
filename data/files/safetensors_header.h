// The header of a safetensors file: what stands where. Reading files is data/files/safetensors.h, writing them
// data/files/safetensors_writer.h. Format: https://github.com/huggingface/safetensors#format
//
//     8 bytes n, little-endian | n bytes of JSON, padded with spaces | the tensors' bytes, back to back
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct SafetensorsInfo {
  std::string name;
  std::string dtype;                ///< as the file says it: "BF16", "F8_E4M3", "U8", …
  std::vector<std::int64_t> shape;  ///< of any rank; empty for a scalar
  std::uint64_t begin = 0;          ///< of its bytes, counted from the end of the header
  std::uint64_t end = 0;

  [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
};

struct SafetensorsHeader {
  std::vector<SafetensorsInfo> tensors;         ///< by position in the file
  std::map<std::string, std::string> metadata;  ///< "__metadata__"
  std::uint64_t data_begin = 0;                 ///< where the tensors' bytes start in the file
};

/// Reads and checks the header of a whole file in memory; after that every tensor's bytes lie in the file, hold its
/// shape exactly, and no byte belongs to two tensors or to none. `who` is the file's name for errors.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& who);

/// The 8 + n bytes at the start of a file with these tensors.
[[nodiscard]] std::string format_safetensors_header(std::span<const SafetensorsInfo> tensors,
                                                    const std::map<std::string, std::string>& metadata);

/// Place of a dtype in the format's own list, from BOOL up to U64: files hold the highest first, so that every tensor
/// is aligned. -1 for an unknown one.
[[nodiscard]] int safetensors_dtype_rank(std::string_view dtype);

/// Bytes of a tensor. Throws for an unknown dtype, a negative extent, a size beyond 64 bits, and half bytes.
[[nodiscard]] std::uint64_t safetensors_bytes(std::string_view dtype, std::span<const std::int64_t> shape,
                                              const std::string& who);

}  // namespace qad
