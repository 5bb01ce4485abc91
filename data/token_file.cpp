#include "data/token_file.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>

#include "autograd/core/error.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

/// An open HDF5 object.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  [[nodiscard]] hid_t id() const { return id_; }
  [[nodiscard]] bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  Close close_;
};

class TokenFile {
 public:
  explicit TokenFile(const fs::path& file) : name_(file.string()), bytes_(size_of(file)), file_(open(name_), H5Fclose) {
    if (!file_.ok()) throw Error({name_, "an HDF5 file", "something else or a damaged one", ""});
  }

  [[nodiscard]] bool has(const char* dataset) const { return H5Lexists(file_.id(), dataset, H5P_DEFAULT) > 0; }

  /// A value that T can't hold becomes T's nearest one (HDF5's conversion), which no vocabulary contains.
  template <class T>
  [[nodiscard]] std::vector<T> read(const char* dataset) const {
    const std::string who = name_ + ": " + dataset;
    if (!has(dataset)) throw Error({name_, fmt::format("a dataset '{}'", dataset), "none", ""});
    const Handle data(H5Dopen2(file_.id(), dataset, H5P_DEFAULT), H5Dclose);
    if (!data.ok()) throw Error({who, "a dataset", "something else", ""});
    const Handle type(H5Dget_type(data.id()), H5Tclose), space(H5Dget_space(data.id()), H5Sclose);
    if (H5Tget_class(type.id()) != H5T_INTEGER) throw Error({who, "whole numbers", "another type", ""});
    hsize_t count = 0;
    if (H5Sget_simple_extent_ndims(space.id()) != 1 || H5Sget_simple_extent_dims(space.id(), &count, nullptr) < 0)
      throw Error({who, "one dimension", "another shape", ""});
    // A damaged or hostile file may declare any size; compression beyond this is not believable.
    if (count / 1000 > bytes_)
      throw Error({who, "a size that fits the file", std::to_string(count), "is the file whole?"});
    std::vector<T> values(count);
    const hid_t memory_type = sizeof(T) == 4 ? H5T_NATIVE_INT32 : H5T_NATIVE_INT64;
    if (count > 0 && H5Dread(data.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
      throw Error({who, "readable data", "a read error", "is the file whole?"});
    return values;
  }

 private:
  static std::uintmax_t size_of(const fs::path& file) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(file, error);
    if (error) throw Error({file.string(), "a file with token ids", error.message(), ""});
    return size;
  }
  static hid_t open(const std::string& name) {
    H5dont_atexit();  // HDF5 1.10 can crash at exit after a failed open
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  }

  std::string name_;
  std::uintmax_t bytes_;
  Handle file_;
};

}  // namespace

Documents read_token_file(const fs::path& file) {
  const TokenFile source(file);
  Documents documents;
  documents.source = file.string();
  documents.ids = source.read<std::int32_t>("ids");
  documents.offsets = source.has("offsets") ? source.read<std::int64_t>("offsets") : std::vector<std::int64_t>{0};
  std::vector<std::int64_t>& offsets = documents.offsets;
  if (offsets.empty() || offsets.back() != documents.tokens()) offsets.push_back(documents.tokens());
  if (offsets.front() != 0 || !std::is_sorted(offsets.begin(), offsets.end()))
    throw Error({file.string() + ": offsets", fmt::format("rising numbers from 0 to {}", documents.tokens()),
                 fmt::format("others, up to {}", *std::max_element(offsets.begin(), offsets.end())), ""});
  return documents;
}

}  // namespace qad
