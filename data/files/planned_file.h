// A file of tensors of which all is known but their values: what stands where. It is written at once, front to back, or
// tensor by tensor in any order. Formats plan it: data/files/safetensors_writer.h, data/files/gguf.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct PlannedTensor {
  std::string name;
  std::uint64_t begin = 0, bytes = 0;  ///< in the file
};

struct PlannedFile {
  std::string name;                    ///< in its folder
  std::string header;                  ///< what stands before the tensors
  std::vector<PlannedTensor> tensors;  ///< by position; what is between them and behind the last is zeros
  std::uint64_t bytes = 0;             ///< of all
};

/// The file appears whole or not at all.
void write_planned_file(const std::filesystem::path& folder, const PlannedFile& file,
                        const std::function<std::span<const std::byte>(std::string_view tensor)>& bytes_of);

/// The same file in pieces, for who can't have all tensors at once. What is not written yet reads as zeros.
class PlannedFileWriter {
 public:
  /// Goes on with what is there, of whatever length it is. Throws where the disk has no room for the file.
  PlannedFileWriter(const std::filesystem::path& folder, const PlannedFile& file);
  ~PlannedFileWriter();
  PlannedFileWriter(PlannedFileWriter&& other) noexcept;
  PlannedFileWriter& operator=(PlannedFileWriter&&) = delete;
  PlannedFileWriter(const PlannedFileWriter&) = delete;
  PlannedFileWriter& operator=(const PlannedFileWriter&) = delete;

  /// Throws where the disk is full; what was written before stays.
  void put(const PlannedTensor& tensor, std::span<const std::byte> bytes) const;
  /// Begins to bring to the disk what was put so far, so that it needn't wait in memory.
  void start_flush() const;
  /// Writes the header and brings all of it to the disk.
  void finish(std::string_view header) const;

 private:
  void write(std::uint64_t at, std::string_view bytes) const;
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  std::uint64_t bytes_;
  int fd_ = -1;
};

}  // namespace qad
