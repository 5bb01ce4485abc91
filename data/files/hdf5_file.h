// HDF5 files: the one door to the library. Writing is for files that are made whole in one go and never edited; reading
// takes nothing on trust. What the datasets mean is the callers' business (qad/checkpoint, data/text/token_file).
//
// On disk: format of HDF5 1.10, chunks of about 1 MiB with fletcher32, no compression, no times, so that the same
// content gives the same bytes. Names are paths: "model/embed.weight" is a dataset in a group. BF16 and F16 are uint16
// with an attribute `dtype`; text is uint8; a number is a dataset of one element. Use a file from one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "autograd/core/tensor.h"

namespace qad {

using Hdf5Number = std::variant<std::int64_t, std::uint64_t, double>;

class Hdf5Writer {
 public:
  /// Creates the file, over one that is there. The first `user_block_bytes` (0, or a power of two from 512) are left
  /// to the caller: HDF5 readers skip them.
  explicit Hdf5Writer(const std::filesystem::path& file, std::uint64_t user_block_bytes = 0);
  /// Without a close() before it, what is on disk is worth nothing.
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// Each throws when the dataset is not on disk whole: HDF5 1.10 reports a full disk late, or never, so every dataset
  /// is flushed and its stored size compared.
  void write_tensor(const std::string& name, const Tensor& tensor);
  void write_text(const std::string& name, std::string_view text);
  void write_number(const std::string& name, const Hdf5Number& number);
  /// Nothing may follow.
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Hdf5Reader {
 public:
  /// Throws for what is no HDF5 file. `what` says what it should be, for example "a checkpoint".
  Hdf5Reader(const std::filesystem::path& file, std::string_view what);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  [[nodiscard]] bool has(const std::string& name) const;

  /// All reads throw, with file and dataset, for a missing dataset, a link to elsewhere, data kept in other files,
  /// another type than the one asked for, and a declared size that the stored bytes can't hold.
  [[nodiscard]] Tensor read_tensor(const std::string& name) const;  ///< f32, bf16, f16, i64, i32 or u8; up to 4 axes
  [[nodiscard]] std::string read_text(const std::string& name) const;
  [[nodiscard]] Hdf5Number read_number(const std::string& name) const;

  /// A 1-D dataset of whole numbers of any width, or of h5py's booleans, as other programs write token ids and masks.
  /// Numbers beyond int64 become its largest.
  [[nodiscard]] std::int64_t integer_count(const std::string& name) const;
  /// Elements [begin, begin + values.size()).
  void read_integers(const std::string& name, std::int64_t begin, std::span<std::int64_t> values) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qad
