// Reads safetensors: one file, or a Hugging Face folder with one file or with shards and their index. The files are
// mapped into memory: opening one costs only its header, and a tensor's pages are read when somebody looks at it. As
// with any mapping, a file must not be written to in place while it is in use (replacing it is safe, and what qad
// does). Names, dtypes and shapes are the file's own; what they mean is the models' business.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autograd/core/tensor.h"
#include "data/files/mapped_file.h"
#include "data/files/safetensors_header.h"

namespace qad {

class SafetensorsFile {
 public:
  /// Opens and checks the whole header (see parse_safetensors_header).
  explicit SafetensorsFile(const std::filesystem::path& file);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<SafetensorsInfo>& tensors() const { return header_.tensors; }  ///< by position
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  [[nodiscard]] bool has(const std::string& name) const { return index_.contains(name); }
  /// Throws for a name that the file does not have; so do all below.
  [[nodiscard]] const SafetensorsInfo& info(const std::string& name) const;
  /// The tensor's bytes in the mapped file: row-major, little-endian, at any alignment.
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& name) const;
  /// The same bytes, not copied (but see Tensor::borrow), as a Tensor that outlives this: F32, F16, BF16, I64 and I32
  /// as themselves, every one-byte dtype (U8, I8, BOOL, F8_…) as u8. Throws for other dtypes and for more than four
  /// axes.
  [[nodiscard]] Tensor tensor(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
  std::map<std::string, std::size_t> index_;
};

class SafetensorsFolder {
 public:
  /// A folder with model.safetensors (which wins, as in transformers) or model.safetensors.index.json, or the path of
  /// one such file. Every shard that the index names is opened; every tensor must be in the shard that it says, and no
  /// name in two of them. As in transformers, what a shard holds belongs to the folder even if the index leaves it out.
  explicit SafetensorsFolder(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<SafetensorsFile>& files() const { return files_; }
  [[nodiscard]] std::vector<std::string> names() const;  ///< sorted
  /// Names of the files in the folder that look like a part of the model (model*.safetensors, an index) and are not
  /// read, sorted.
  [[nodiscard]] std::vector<std::string> unread_files() const;
  [[nodiscard]] bool has(const std::string& name) const { return file_of_.contains(name); }
  /// The file that holds a tensor; info, bytes and tensor are that file's.
  [[nodiscard]] const SafetensorsFile& file_of(const std::string& name) const;
  [[nodiscard]] const SafetensorsInfo& info(const std::string& name) const { return file_of(name).info(name); }
  [[nodiscard]] std::span<const std::byte> bytes(const std::string& name) const { return file_of(name).bytes(name); }
  [[nodiscard]] Tensor tensor(const std::string& name) const { return file_of(name).tensor(name); }

 private:
  void read_index(const std::filesystem::path& index);
  void add_file(const std::filesystem::path& file);

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;  // tensor -> position in files_
};

}  // namespace qad
