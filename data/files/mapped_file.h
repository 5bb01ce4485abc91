// A file's bytes as memory, read-only, paged in as they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "autograd/base/mapped_pages.h"

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

}  // namespace qad
