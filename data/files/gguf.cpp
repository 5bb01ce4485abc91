#include "data/files/gguf.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <type_traits>

#include "autograd/base/error.h"

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

namespace qad {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;  // the default of the format, general.alignment
constexpr std::size_t kLongestName = 63;
constexpr std::uint32_t kMostAxes = 4;

constexpr auto kTypes = std::to_array<GgufType>(
    {{"F32", 0, 1, 4}, {"F16", 1, 1, 2}, {"BF16", 30, 1, 2}, {"MXFP4", 39, 32, 17}, {"NVFP4", 40, 64, 36}});

// Ids of metadata types.
constexpr std::uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

std::uint64_t padded(std::uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

// Reads front to back and never beyond the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& who) : file_(file), who_(who) {}

  [[nodiscard]] std::uint64_t position() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return file_.size() - at_; }

  template <class T>
  T number() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  // A count of things that take at least `bytes` each.
  std::uint64_t count(std::uint64_t bytes) {
    const auto value = number<std::uint64_t>();
    if (value > left() / bytes) cut_off(value);
    return value;
  }
  std::string string() {
    const std::uint64_t size = count(1);
    return {reinterpret_cast<const char*>(take(size)), size};
  }
  bool boolean() {
    const auto value = number<std::uint8_t>();
    if (value > 1) throw Error({.who = who_, .expected = "0 or 1 for true or false", .got = std::to_string(value)});
    return value == 1;
  }
  GgufValue value() {
    const auto type = number<std::uint32_t>();
    switch (type) {
      case kU32: return number<std::uint32_t>();
      case kF32: return number<float>();
      case kBool: return boolean();
      case kString: return string();
      case kArray: return array();
      default:
        throw Error({.who = who_,
                     .expected = "metadata of type u32, f32, bool, string or an array",
                     .got = fmt::format("type {}", type)});
    }
  }

 private:
  GgufValue array() {
    const auto type = number<std::uint32_t>();
    if (type == kI32) return numbers<std::int32_t>();
    if (type == kF32) return numbers<float>();
    if (type != kString)
      throw Error(
          {.who = who_, .expected = "an array of i32, f32 or strings", .got = fmt::format("one of type {}", type)});
    std::vector<std::string> strings(count(sizeof(std::uint64_t)));
    for (std::string& text : strings) text = string();
    return strings;
  }
  template <class T>
  std::vector<T> numbers() {
    std::vector<T> values(count(sizeof(T)));
    if (!values.empty()) std::memcpy(values.data(), take(values.size() * sizeof(T)), values.size() * sizeof(T));
    return values;
  }
  const std::byte* take(std::uint64_t size) {
    if (size > left()) cut_off(size);
    const std::byte* const begin = file_.data() + at_;
    at_ += size;
    return begin;
  }
  [[noreturn]] void cut_off(std::uint64_t wanted) const {
    throw Error({.who = who_,
                 .expected = fmt::format("{} more bytes or entries after byte {}", wanted, at_),
                 .got = fmt::format("{} bytes", left()),
                 .hint = "is the file cut off?"});
  }

  std::span<const std::byte> file_;
  const std::string& who_;
  std::uint64_t at_ = 0;
};

// Bytes of a tensor of this shape; an Error if they are more than `most`.
std::uint64_t bytes_of(const GgufType& type, const std::vector<std::int64_t>& shape, std::uint64_t most,
                       const std::string& who) {
  if (shape.empty() || shape.back() % type.values != 0)
    throw Error({.who = who,
                 .expected = fmt::format("rows of a multiple of {} values in {}", type.values, type.name),
                 .got = shape.empty() ? "no axis" : std::to_string(shape.back())});
  std::uint64_t bytes = static_cast<std::uint64_t>(type.bytes);
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool innermost = axis + 1 == shape.size();
    const auto extent = static_cast<std::uint64_t>(innermost ? shape[axis] / type.values : shape[axis]);
    if (extent == 0 || bytes > most / extent)
      throw Error({.who = who,
                   .expected = fmt::format("1 to {} bytes", most),
                   .got = "another size",
                   .hint = "is the file cut off?"});
    bytes *= extent;
  }
  return bytes;
}

GgufInfo read_info(Cursor& cursor, const std::string& who) {
  GgufInfo info;
  info.name = cursor.string();
  const std::string tensor = fmt::format("{}: tensor '{}'", who, info.name);
  if (info.name.size() > kLongestName)
    throw Error({.who = tensor, .expected = "a name of at most 63 bytes", .got = "a longer one"});
  const auto axes = cursor.number<std::uint32_t>();
  if (axes < 1 || axes > kMostAxes)
    throw Error({.who = tensor, .expected = "1 to 4 axes", .got = std::to_string(axes)});
  for (std::uint32_t axis = 0; axis < axes; ++axis) {
    const auto extent = cursor.number<std::uint64_t>();
    if (extent > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
      throw Error({.who = tensor, .expected = "an extent below 2^63", .got = std::to_string(extent)});
    info.shape.insert(info.shape.begin(), static_cast<std::int64_t>(extent));
  }
  const auto id = cursor.number<std::uint32_t>();
  for (const GgufType& type : kTypes)
    if (type.id == id) info.type = &type;
  if (info.type == nullptr)
    throw Error({.who = tensor,
                 .expected = "F32, F16, BF16, MXFP4 or NVFP4",
                 .got = fmt::format("type {}", id),
                 .hint = "qad reads no other"});
  info.begin = cursor.number<std::uint64_t>();  // from where the data starts, until that is known
  return info;
}

void put(std::string& out, std::string_view text) {
  const std::uint64_t size = text.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
}
template <class T>
void put_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

struct PutValue {
  std::string& out;
  void operator()(std::uint32_t value) const { typed(kU32, value); }
  void operator()(float value) const { typed(kF32, value); }
  void operator()(bool value) const { typed(kBool, static_cast<std::uint8_t>(value)); }
  void operator()(const std::string& value) const {
    put_number(out, kString);
    put(out, value);
  }
  void operator()(const std::vector<std::int32_t>& values) const { numbers(kI32, values); }
  void operator()(const std::vector<float>& values) const { numbers(kF32, values); }
  void operator()(const std::vector<std::string>& values) const {
    array(kString, values.size());
    for (const std::string& value : values) put(out, value);
  }

 private:
  template <class T>
  void typed(std::uint32_t type, T value) const {
    put_number(out, type);
    put_number(out, value);
  }
  void array(std::uint32_t type, std::uint64_t count) const {
    put_number(out, kArray);
    put_number(out, type);
    put_number(out, count);
  }
  template <class T>
  void numbers(std::uint32_t type, const std::vector<T>& values) const {
    array(type, values.size());
    for (const T value : values) put_number(out, value);
  }
};

}  // namespace

const GgufType& gguf_type(std::string_view name) {
  std::string known;
  for (const GgufType& type : kTypes) {
    if (type.name == name) return type;
    known += (known.empty() ? "" : ", ") + std::string(type.name);
  }
  throw Error({.who = "GGUF type", .expected = "one of " + known, .got = std::string(name)});
}

GgufContents parse_gguf(std::span<const std::byte> file, const std::string& who) {
  if (file.size() < kMagic.size() || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0)
    throw Error({.who = who, .expected = "a GGUF file", .got = "another file"});
  Cursor cursor(file, who);
  static_cast<void>(cursor.number<std::uint32_t>());  // the magic
  if (const auto version = cursor.number<std::uint32_t>(); version != kVersion)
    throw Error({.who = who, .expected = "GGUF of version 3", .got = fmt::format("version {}", version)});
  const auto tensors = cursor.number<std::uint64_t>();
  const std::uint64_t pairs = cursor.count(13);  // a length, a type and a byte
  GgufContents contents;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    std::string key = cursor.string();
    if (!names.insert(key).second)
      throw Error({.who = who, .expected = "every key once", .got = "'" + key + "' twice"});
    GgufValue value = cursor.value();
    contents.metadata.emplace_back(std::move(key), std::move(value));
  }
  if (const auto* alignment = find_metadata<std::uint32_t>(contents.metadata, "general.alignment");
      alignment != nullptr && *alignment != kAlignment)
    throw Error({.who = who, .expected = "general.alignment 32", .got = std::to_string(*alignment)});
  names.clear();
  for (std::uint64_t i = 0; i < tensors; ++i) {  // each read takes bytes: no count can run away
    contents.tensors.push_back(read_info(cursor, who));
    if (!names.insert(contents.tensors.back().name).second)
      throw Error({.who = who, .expected = "every tensor once", .got = "'" + contents.tensors.back().name + "' twice"});
  }
  const std::uint64_t data = padded(cursor.position());
  std::uint64_t offset = 0;
  for (GgufInfo& tensor : contents.tensors) {
    const std::string name = fmt::format("{}: tensor '{}'", who, tensor.name);
    if (tensor.begin != offset)
      throw Error({.who = name,
                   .expected = fmt::format("data at {}, right after its neighbour's", offset),
                   .got = std::to_string(tensor.begin),
                   .hint = "the header is damaged"});
    const std::uint64_t room = file.size() > data + offset ? file.size() - data - offset : 0;
    tensor.bytes = bytes_of(*tensor.type, tensor.shape, room, name);
    tensor.begin = data + offset;
    offset += padded(tensor.bytes);
  }
  return contents;
}

PlannedFile plan_gguf(const std::filesystem::path& file, const GgufMetadata& metadata,
                      const std::vector<GgufSpec>& specs) {
  PlannedFile plan{file.filename().string(), std::string(kMagic), {}, 0};
  std::string& header = plan.header;
  put_number(header, kVersion);
  put_number(header, static_cast<std::uint64_t>(specs.size()));
  put_number(header, static_cast<std::uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    put(header, key);
    std::visit(PutValue{header}, value);
  }
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const GgufSpec& tensor : specs) {
    const std::string who = fmt::format("{}: tensor '{}'", file.string(), tensor.name);
    if (tensor.name.size() > kLongestName || !names.insert(tensor.name).second)
      throw Error(
          {.who = who, .expected = "a name of its own of at most 63 bytes", .got = "one that is taken or longer"});
    const std::uint64_t bytes = bytes_of(*tensor.type, tensor.shape, UINT64_MAX, who);
    put(header, tensor.name);
    put_number(header, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) put_number(header, *extent);
    put_number(header, tensor.type->id);
    put_number(header, offset);
    plan.tensors.push_back({tensor.name, offset, bytes});
    offset += padded(bytes);
  }
  header.resize(padded(header.size()));
  for (PlannedTensor& tensor : plan.tensors) tensor.begin += header.size();
  plan.bytes = header.size() + offset;
  return plan;
}

void write_gguf(const std::filesystem::path& file, const GgufMetadata& metadata,
                const std::vector<GgufEntry>& tensors) {
  std::vector<GgufSpec> specs;
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const GgufEntry& tensor : tensors) {
    specs.push_back({tensor.name, tensor.type, tensor.shape});
    bytes[tensor.name] = tensor.bytes;
  }
  const PlannedFile plan = plan_gguf(file, metadata, specs);
  for (const PlannedTensor& tensor : plan.tensors)
    if (tensor.bytes != bytes[tensor.name].size())
      throw Error({.who = fmt::format("{}: tensor '{}'", file.string(), tensor.name),
                   .expected = fmt::format("{} bytes", tensor.bytes),
                   .got = std::to_string(bytes[tensor.name].size())});
  write_planned_file(file.parent_path(), plan, [&](std::string_view name) { return bytes.at(name); });
}

}  // namespace qad
