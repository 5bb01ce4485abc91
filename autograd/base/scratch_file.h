// Memory that is a file's: for what a machine has no room for. Nobody else sees the file, and it is gone with its
// owner, however that ends.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace qad {

class ScratchFile {
 public:
  /// `bytes` zeros, in a file without a name on the disk of `folder`, which is there. All of its room is taken at once:
  /// a disk without it is an Error that says for what (for example "moments"), and never a signal later.
  ScratchFile(const std::filesystem::path& folder, std::size_t bytes, const std::string& what);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// From a page's beginning. forget_pages (mapped_pages.h) lets go of memory that is not needed for a while.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace qad
