// A file's bytes as memory, read-only, paged in as they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace qad {

class MappedFile {
 public:
  /// Throws with the system's reason and `what` (for example "a safetensors file") when it can't be opened.
  MappedFile(const std::filesystem::path& file, std::string_view what);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Lets go of the memory behind whole pages of a mapped file; they come from the file again if they are read again.
/// Does nothing to bytes that no MappedFile has.
void forget_pages(std::span<const std::byte> bytes);

/// Has the system begin to read these bytes of a mapped file into memory.
void ask_for_pages(std::span<const std::byte> bytes);
/// Reads them, so that a bad sector, or a file that was cut off meanwhile, is a false and not a SIGBUS.
[[nodiscard]] bool read_pages(std::span<const std::byte> bytes);

}  // namespace qad
