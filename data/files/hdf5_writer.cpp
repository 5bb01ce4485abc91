#include <fmt/format.h>

#include <optional>

#include "autograd/base/error.h"
#include "data/files/hdf5_file.h"
#include "data/files/hdf5_handle.h"

namespace qad {
namespace {

using hdf5::check;
using hdf5::Handle;

constexpr hsize_t kChunkBytes = hsize_t{1} << 20;  // HDF5's default chunk cache, and the fastest size with fletcher32
constexpr hsize_t kChecksumBytes = 4;
constexpr hsize_t kCompactBytes = 1024;  // up to this a dataset lies in its own header, which has a checksum too

// Chunks of at most about 1 MiB that cut the outermost axes first, into pieces of nearly equal size.
std::vector<hsize_t> chunk_of(const std::vector<hsize_t>& extents, hsize_t element_bytes) {
  std::vector<hsize_t> chunk = extents;
  hsize_t bytes = element_bytes;
  for (const hsize_t extent : extents) bytes *= extent;
  for (hsize_t& extent : chunk) {
    const hsize_t row = bytes / extent;
    const hsize_t pieces = (bytes + kChunkBytes - 1) / kChunkBytes;
    extent = pieces >= extent ? 1 : (extent + pieces - 1) / pieces;
    bytes = row * extent;
    if (bytes <= kChunkBytes || extent > 1) break;
  }
  return chunk;
}

hsize_t stored_bytes(const std::vector<hsize_t>& extents, const std::vector<hsize_t>& chunk, hsize_t element_bytes) {
  hsize_t chunks = 1, bytes = element_bytes;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    chunks *= (extents[i] + chunk[i] - 1) / chunk[i];
    bytes *= chunk[i];
  }
  return chunks * (bytes + kChecksumBytes);
}

}  // namespace

struct Hdf5Writer::Impl {
  Impl(const std::filesystem::path& path, std::uint64_t user_block_bytes) : file_name(path.string()) {
    hdf5::initialise();
    Handle access(check(H5Pcreate(H5P_FILE_ACCESS), file_name, "prepare"), H5Pclose);
    // Stated, so that a newer library writes the same format. 1.10's has checksums on all metadata.
    check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), file_name, "choose the format");
    Handle creation = creation_list(H5P_FILE_CREATE, file_name);
    check(H5Pset_userblock(creation.id(), user_block_bytes), file_name, "leave room at the front");
    file.emplace(check(H5Fcreate(file_name.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()), file_name, "create it"),
                 H5Fclose);
    creation.close(file_name, "prepare");
    access.close(file_name, "prepare");
  }

  // Creation times are off everywhere: the same content gives the same bytes.
  static Handle creation_list(hid_t kind, const std::string& who) {
    Handle list(check(H5Pcreate(kind), who, "prepare"), H5Pclose);
    check(H5Pset_obj_track_times(list.id(), false), who, "turn off times");
    return list;
  }

  void make_groups(const std::string& name) {
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      const std::string group = name.substr(0, slash);
      const std::string who = file_name + ": " + group;
      if (check(H5Lexists(file->id(), group.c_str(), H5P_DEFAULT), who, "look it up") > 0) continue;
      Handle creation = creation_list(H5P_GROUP_CREATE, who);
      Handle made(check(H5Gcreate2(file->id(), group.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), who, "make it"),
                  H5Gclose);
      made.close(who, "close it");
      creation.close(who, "prepare");
    }
  }

  void write(const std::string& name, const void* data, hid_t type, const std::vector<hsize_t>& extents,
             std::string_view dtype) {
    QAD_ASSERT(file.has_value());
    make_groups(name);
    const std::string who = file_name + ": " + name;
    const hsize_t element_bytes = H5Tget_size(type);
    hsize_t elements = 1;
    for (const hsize_t extent : extents) elements *= extent;

    Handle space(check(extents.empty() ? H5Screate(H5S_SCALAR)
                                       : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                       who, "describe its shape"),
                 H5Sclose);
    Handle creation = creation_list(H5P_DATASET_CREATE, who);
    check(H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER), who, "prepare");
    hsize_t expected = elements * element_bytes;
    if (expected <= kCompactBytes) {
      check(H5Pset_layout(creation.id(), H5D_COMPACT), who, "prepare");
    } else {
      const std::vector<hsize_t> chunk = chunk_of(extents, element_bytes);
      check(H5Pset_chunk(creation.id(), static_cast<int>(chunk.size()), chunk.data()), who, "choose chunks");
      check(H5Pset_fletcher32(creation.id()), who, "choose checksums");
      expected = stored_bytes(extents, chunk, element_bytes);
    }

    Handle dataset(
        check(H5Dcreate2(file->id(), name.c_str(), type, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), who,
              "create it"),
        H5Dclose);
    write_dtype(dataset.id(), dtype, who);
    if (elements > 0) check(H5Dwrite(dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), who, "write it");
    check(H5Dflush(dataset.id()), who, "write it");
    const hsize_t stored = H5Dget_storage_size(dataset.id());
    if (stored != expected)
      throw Error({.who = who,
                   .expected = fmt::format("{} bytes on disk", expected),
                   .got = std::to_string(stored),
                   .hint = "is the disk full?"});
    dataset.close(who, "close it");
    creation.close(who, "close it");
    space.close(who, "close it");
  }

  static void write_dtype(hid_t dataset, std::string_view dtype, const std::string& who) {
    Handle type(check(H5Tcopy(H5T_C_S1), who, "describe it"), H5Tclose);
    check(H5Tset_size(type.id(), dtype.size()), who, "describe it");
    check(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), who, "describe it");
    Handle space(check(H5Screate(H5S_SCALAR), who, "describe it"), H5Sclose);
    Handle attribute(check(H5Acreate2(dataset, hdf5::kDTypeAttribute, type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT),
                           who, "describe it"),
                     H5Aclose);
    check(H5Awrite(attribute.id(), type.id(), dtype.data()), who, "describe it");
    attribute.close(who, "describe it");
    space.close(who, "describe it");
    type.close(who, "describe it");
  }

  std::string file_name;
  std::optional<Handle> file;
};

Hdf5Writer::Hdf5Writer(const std::filesystem::path& file, std::uint64_t user_block_bytes)
    : impl_(std::make_unique<Impl>(file, user_block_bytes)) {}
Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::write_tensor(const std::string& name, const Tensor& tensor) {
  const auto extents = tensor.shape().extents();
  impl_->write(name, tensor.raw(), hdf5::native_type(tensor.dtype()), {extents.begin(), extents.end()},
               name_of(tensor.dtype()));
}

void Hdf5Writer::write_text(const std::string& name, std::string_view text) {
  impl_->write(name, text.data(), H5T_NATIVE_UINT8, {text.size()}, hdf5::kText);
}

void Hdf5Writer::write_number(const std::string& name, const Hdf5Number& number) {
  if (const auto* i = std::get_if<std::int64_t>(&number)) impl_->write(name, i, H5T_NATIVE_INT64, {1}, "i64");
  else if (const auto* u = std::get_if<std::uint64_t>(&number)) impl_->write(name, u, H5T_NATIVE_UINT64, {1}, "u64");
  else impl_->write(name, &std::get<double>(number), H5T_NATIVE_DOUBLE, {1}, "f64");
}

void Hdf5Writer::close() {
  check(H5Fflush(impl_->file->id(), H5F_SCOPE_GLOBAL), impl_->file_name, "write it");
  impl_->file->close(impl_->file_name, "close it");
  impl_->file.reset();
}

}  // namespace qad
