#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/place.h"
#include "data/files/hdf5_file.h"
#include "data/files/hdf5_handle.h"

namespace qad {
namespace {

using hdf5::check;
using hdf5::Handle;

// Compressed data that claims to be larger than this many times its stored size is a bomb, not a dataset.
constexpr std::uint64_t kMaxExpansion = 1000;

bool has_type(hid_t type, hid_t expected) { return H5Tequal(type, expected) > 0; }

}  // namespace

struct Hdf5Reader::Impl {
  struct Dataset {
    std::string who;
    Handle dataset, type;
    std::vector<hsize_t> extents;
    hsize_t elements = 1;
  };

  Impl(const std::filesystem::path& path, std::string_view what) : name(path.string()), file(open(name, what)) {}

  static Handle open(const std::string& name, std::string_view what) {
    hdf5::initialise();
    refuse_irregular_file(name, what);
    if (place_at(name) == Place::nothing)
      throw Error({.who = name, .expected = std::string(what), .got = std::strerror(ENOENT)}, ExitCode::usage);
    const hid_t id = H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    return {check(id, name, fmt::format("open it as {} (HDF5)", what)), H5Fclose};
  }

  // Whether every part of the path is there. A soft or external link could lead to any file of the machine.
  [[nodiscard]] bool has(const std::string& dataset) const {
    for (std::size_t end = 0; end != std::string::npos;) {
      end = dataset.find('/', end + 1);
      const std::string part = dataset.substr(0, end);
      const std::string who = name + ": " + part;
      if (check(H5Lexists(file.id(), part.c_str(), H5P_DEFAULT), who, "look it up") == 0) return false;
      H5L_info_t link;
      check(H5Lget_info(file.id(), part.c_str(), &link, H5P_DEFAULT), who, "look it up");
      if (link.type != H5L_TYPE_HARD)
        throw Error({.who = who, .expected = "data in this file", .got = "a link to elsewhere"});
    }
    return true;
  }

  [[nodiscard]] Dataset find(const std::string& dataset) const {
    const std::string who = name + ": " + dataset;
    if (!has(dataset)) throw Error({.who = name, .expected = fmt::format("a dataset '{}'", dataset), .got = "none"});
    Handle opened(check(H5Dopen2(file.id(), dataset.c_str(), H5P_DEFAULT), who, "open it as a dataset"), H5Dclose);
    Handle type(check(H5Dget_type(opened.id()), who, "read its type"), H5Tclose);
    const Handle space(check(H5Dget_space(opened.id()), who, "read its shape"), H5Sclose);
    Dataset found{who, std::move(opened), std::move(type), {}};
    if (H5Sget_simple_extent_type(space.id()) == H5S_NULL)
      throw Error({.who = who, .expected = "a dataset with a shape", .got = "none"});
    found.extents.resize(
        static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(space.id()), who, "read its shape")));
    check(H5Sget_simple_extent_dims(space.id(), found.extents.data(), nullptr), who, "read its shape");
    check_storage(found);
    return found;
  }

  // The declared size against what is stored, before anything is allocated for it.
  static void check_storage(Dataset& found) {
    const Handle creation(check(H5Dget_create_plist(found.dataset.id()), found.who, "read its layout"), H5Pclose);
    if (H5Pget_layout(creation.id()) == H5D_VIRTUAL || H5Pget_external_count(creation.id()) != 0)
      throw Error({.who = found.who, .expected = "data in this file", .got = "data kept in others"});
    hsize_t declared = H5Tget_size(found.type.id());
    bool overflow = false;
    for (const hsize_t extent : found.extents) {
      overflow |= __builtin_mul_overflow(declared, extent, &declared);
      overflow |= __builtin_mul_overflow(found.elements, extent, &found.elements);
    }
    bool compressed = false;
    const int filters = check(H5Pget_nfilters(creation.id()), found.who, "read its layout");
    for (int i = 0; i < filters; ++i) {
      unsigned flags = 0, config = 0;
      std::size_t values = 0;
      const H5Z_filter_t filter =
          H5Pget_filter2(creation.id(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
      compressed |= filter != H5Z_FILTER_FLETCHER32 && filter != H5Z_FILTER_SHUFFLE;
    }
    const hsize_t stored = H5Dget_storage_size(found.dataset.id());
    if (overflow || declared > (compressed ? stored * kMaxExpansion : stored))
      throw Error(
          {.who = found.who,
           .expected = overflow ? "a size below 2^64 bytes" : fmt::format("{} bytes, as its shape says", declared),
           .got = fmt::format("{} stored", stored),
           .hint = "was the file written whole?"});
  }

  // What a dataset's 16-bit or 8-bit numbers are; empty without the attribute.
  static std::string dtype_attribute(const Dataset& found) {
    const std::string action = "read what its numbers are";
    if (check(H5Aexists(found.dataset.id(), hdf5::kDTypeAttribute), found.who, action) == 0) return "";
    const Handle attribute(check(H5Aopen(found.dataset.id(), hdf5::kDTypeAttribute, H5P_DEFAULT), found.who, action),
                           H5Aclose);
    const Handle type(check(H5Aget_type(attribute.id()), found.who, action), H5Tclose);
    const Handle space(check(H5Aget_space(attribute.id()), found.who, action), H5Sclose);
    const std::size_t size = H5Tget_size(type.id());
    if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0 || size > 64 ||
        H5Sget_simple_extent_npoints(space.id()) != 1)
      return "";
    std::string text(size, '\0');
    check(H5Aread(attribute.id(), type.id(), text.data()), found.who, action);
    text.resize(text.find_last_not_of('\0') + 1);
    return text;
  }

  static std::optional<DType> dtype_of(const Dataset& found) {
    for (const DType dtype : {DType::f32, DType::i64, DType::i32, DType::u8})
      if (has_type(found.type.id(), hdf5::native_type(dtype))) return dtype;
    if (has_type(found.type.id(), H5T_NATIVE_UINT16)) {
      const std::string said = dtype_attribute(found);
      for (const DType dtype : {DType::bf16, DType::f16})
        if (said == name_of(dtype)) return dtype;
    }
    return std::nullopt;
  }

  static void read(const Dataset& found, hid_t type, void* data) {
    if (found.elements == 0) return;
    check(H5Dread(found.dataset.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), found.who, "read it");
  }

  [[nodiscard]] Dataset find_integers(const std::string& dataset) const {
    Dataset found = find(dataset);
    const H5T_class_t kind = H5Tget_class(found.type.id());  // h5py stores booleans as an enumeration
    if (kind != H5T_INTEGER && kind != H5T_ENUM)
      throw Error({.who = found.who, .expected = "whole numbers", .got = "another type"});
    if (found.extents.size() != 1)
      throw Error({.who = found.who, .expected = "one axis", .got = std::to_string(found.extents.size())});
    return found;
  }

  std::string name;
  Handle file;
};

Hdf5Reader::Hdf5Reader(const std::filesystem::path& file, std::string_view what)
    : impl_(std::make_unique<Impl>(file, what)) {}
Hdf5Reader::~Hdf5Reader() = default;

bool Hdf5Reader::has(const std::string& name) const { return impl_->has(name); }

Tensor Hdf5Reader::read_tensor(const std::string& name) const {
  const Impl::Dataset found = impl_->find(name);
  const std::optional<DType> dtype = Impl::dtype_of(found);
  if (!dtype) throw Error({.who = found.who, .expected = "f32, bf16, f16, i64, i32 or u8", .got = "another type"});
  if (found.extents.size() > Shape::kMaxRank)
    throw Error({.who = found.who, .expected = "at most four axes", .got = std::to_string(found.extents.size())});
  const std::vector<std::int64_t> extents(found.extents.begin(), found.extents.end());
  const Tensor tensor(Shape(std::span<const std::int64_t>(extents)), *dtype);
  Impl::read(found, hdf5::native_type(*dtype), tensor.raw());
  return tensor;
}

std::string Hdf5Reader::read_text(const std::string& name) const {
  const Impl::Dataset found = impl_->find(name);
  if (!has_type(found.type.id(), H5T_NATIVE_UINT8) || found.extents.size() != 1)
    throw Error({.who = found.who, .expected = "text (one axis of uint8)", .got = "another type or shape"});
  std::string text(found.elements, '\0');
  Impl::read(found, H5T_NATIVE_UINT8, text.data());
  return text;
}

Hdf5Number Hdf5Reader::read_number(const std::string& name) const {
  const Impl::Dataset found = impl_->find(name);
  const auto read = [&](auto value, hid_t type) -> Hdf5Number {
    Impl::read(found, type, &value);
    return value;
  };
  if (found.elements == 1) {
    if (has_type(found.type.id(), H5T_NATIVE_INT64)) return read(std::int64_t{}, H5T_NATIVE_INT64);
    if (has_type(found.type.id(), H5T_NATIVE_UINT64)) return read(std::uint64_t{}, H5T_NATIVE_UINT64);
    if (has_type(found.type.id(), H5T_NATIVE_DOUBLE)) return read(double{}, H5T_NATIVE_DOUBLE);
  }
  throw Error({.who = found.who, .expected = "one i64, u64 or f64", .got = "another type or shape"});
}

std::int64_t Hdf5Reader::integer_count(const std::string& name) const {
  return static_cast<std::int64_t>(impl_->find_integers(name).elements);
}

void Hdf5Reader::read_integers(const std::string& name, std::int64_t begin, std::span<std::int64_t> values) const {
  const Impl::Dataset found = impl_->find_integers(name);
  const hsize_t start = static_cast<hsize_t>(begin), count = values.size();
  if (begin < 0 || start > found.elements || count > found.elements - start)
    throw Error({.who = found.who,
                 .expected = fmt::format("a range within its {} numbers", found.elements),
                 .got = fmt::format("{} from {}", count, begin)});
  if (count == 0) return;
  const Handle in_file(check(H5Dget_space(found.dataset.id()), found.who, "read its shape"), H5Sclose);
  const Handle in_memory(check(H5Screate_simple(1, &count, nullptr), found.who, "read it"), H5Sclose);
  check(H5Sselect_hyperslab(in_file.id(), H5S_SELECT_SET, &start, nullptr, &count, nullptr), found.who, "read it");
  check(H5Dread(found.dataset.id(), H5T_NATIVE_INT64, in_memory.id(), in_file.id(), H5P_DEFAULT, values.data()),
        found.who, "read it");
}

}  // namespace qad
