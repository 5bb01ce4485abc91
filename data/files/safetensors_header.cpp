#include "data/files/safetensors_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "data/files/json_file.h"

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace qad {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the reference reader's limit

struct DTypeBits {
  std::string_view name;
  std::uint64_t bits;
};
constexpr auto kDTypes = std::to_array<DTypeBits>(
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}});

std::uint64_t unsigned_of(const json& value, const std::string& who, const std::string& what) {
  if (!value.is_number_unsigned())
    throw Error({.who = who, .expected = what, .got = value.dump(-1, ' ', false, json::error_handler_t::replace)});
  return value.get<std::uint64_t>();
}

const json& member(const json& entry, const char* key, const std::string& who) {
  const auto found = entry.find(key);
  if (found == entry.end())
    throw Error({.who = who,
                 .expected = fmt::format("an entry with '{}'", key),
                 .got = "none",
                 .hint = "the header is damaged"});
  return *found;
}

SafetensorsInfo parse_entry(const std::string& name, const json& entry, const std::string& who) {
  if (!entry.is_object())
    throw Error({.who = who, .expected = "dtype, shape and data_offsets", .got = std::string(entry.type_name())});
  SafetensorsInfo info;
  info.name = name;

  const json& dtype = member(entry, "dtype", who);
  if (!dtype.is_string())
    throw Error({.who = who, .expected = "a dtype's name", .got = std::string(dtype.type_name())});
  info.dtype = dtype.get<std::string>();

  const json& shape = member(entry, "shape", who);
  if (!shape.is_array())
    throw Error({.who = who, .expected = "a list of extents as shape", .got = std::string(shape.type_name())});
  for (const json& extent : shape) {
    const std::uint64_t value = unsigned_of(extent, who, "extents from 0 up");
    if (value > INT64_MAX) throw Error({.who = who, .expected = "an extent below 2^63", .got = std::to_string(value)});
    info.shape.push_back(static_cast<std::int64_t>(value));
  }

  const json& offsets = member(entry, "data_offsets", who);
  if (!offsets.is_array() || offsets.size() != 2)
    throw Error({.who = who, .expected = "data_offsets [begin, end]", .got = "something else"});
  info.begin = unsigned_of(offsets[0], who, "an offset from 0 up");
  info.end = unsigned_of(offsets[1], who, "an offset from 0 up");
  return info;
}

// Back to back from 0 to the file's end, each exactly as long as its shape says.
void check_layout(const SafetensorsHeader& header, std::uint64_t data_bytes, const std::string& file) {
  std::uint64_t position = 0;
  for (const SafetensorsInfo& info : header.tensors) {
    const std::string who = fmt::format("{}: tensor '{}'", file, info.name);
    if (info.end < info.begin)
      throw Error(
          {.who = who, .expected = "offsets that ascend", .got = fmt::format("[{}, {}]", info.begin, info.end)});
    if (info.end > data_bytes)
      throw Error({.who = who,
                   .expected = fmt::format("its bytes within the {} that follow the header", data_bytes),
                   .got = fmt::format("an end at {}", info.end),
                   .hint = "is the file cut off?"});
    if (info.begin != position)
      throw Error({.who = who,
                   .expected = fmt::format("its bytes to begin at {}, where those before end", position),
                   .got = fmt::format("{} at {}", info.begin < position ? "an overlap" : "a gap", info.begin)});
    const std::uint64_t bytes = safetensors_bytes(info.dtype, info.shape, who);
    if (info.bytes() != bytes)
      throw Error({.who = who,
                   .expected = fmt::format("{} bytes for {} [{}]", bytes, info.dtype, fmt::join(info.shape, ", ")),
                   .got = std::to_string(info.bytes())});
    position = info.end;
  }
  if (position != data_bytes)
    throw Error({.who = file,
                 .expected = fmt::format("the file to end after its last tensor, {} bytes after the header", position),
                 .got = fmt::format("{} bytes", data_bytes)});
}

}  // namespace

int safetensors_dtype_rank(std::string_view dtype) {
  const auto* const found = std::ranges::find(kDTypes, dtype, &DTypeBits::name);
  return found == kDTypes.end() ? -1 : static_cast<int>(found - kDTypes.begin());
}

std::uint64_t safetensors_bytes(std::string_view dtype, std::span<const std::int64_t> shape, const std::string& who) {
  const int rank = safetensors_dtype_rank(dtype);
  if (rank < 0) {
    std::vector<std::string_view> known;
    for (const DTypeBits& entry : kDTypes) known.push_back(entry.name);
    throw Error({.who = who,
                 .expected = fmt::format("a dtype among {}", fmt::join(known, " ")),
                 .got = fmt::format("'{}'", dtype)});
  }
  std::uint64_t bits = kDTypes[static_cast<std::size_t>(rank)].bits;
  bool overflow = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw Error({.who = who, .expected = "extents from 0 up", .got = std::to_string(extent)});
    overflow |= __builtin_mul_overflow(bits, static_cast<std::uint64_t>(extent), &bits);
  }
  if (overflow)
    throw Error({.who = who, .expected = "a size below 2^64 bits", .got = fmt::format("[{}]", fmt::join(shape, ", "))});
  if (bits % 8 != 0)
    throw Error({.who = who, .expected = "a whole number of bytes", .got = fmt::format("{} bits", bits)});
  return bits / 8;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& who) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    throw Error({.who = who,
                 .expected = "a safetensors file",
                 .got = fmt::format("a file of {} bytes", file.size()),
                 .hint = "is the file cut off?"});
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeader)
    throw Error({.who = who,
                 .expected = "a header of at most 100 MB",
                 .got = fmt::format("{} bytes", length),
                 .hint = "is this a safetensors file?"});
  if (length > file.size() - sizeof length)
    throw Error({.who = who,
                 .expected = fmt::format("a header of {} bytes", length),
                 .got = fmt::format("a file of {} bytes", file.size()),
                 .hint = "is the file cut off?"});

  SafetensorsHeader header;
  header.data_begin = sizeof length + length;
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof length, length);
  if (!text.starts_with('{'))
    throw Error({.who = who, .expected = "a header of JSON that starts with {", .got = "something else"});
  const json entries = parse_json(text, who + ": header");
  for (const auto& [name, entry] : entries.items()) {
    if (name != "__metadata__") {
      header.tensors.push_back(parse_entry(name, entry, fmt::format("{}: tensor '{}'", who, name)));
      continue;
    }
    if (!entry.is_object())
      throw Error({.who = who, .expected = "__metadata__ from text to text", .got = std::string(entry.type_name())});
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string())
        throw Error({.who = who, .expected = "__metadata__ from text to text", .got = std::string(value.type_name())});
      header.metadata.emplace(key, value.get<std::string>());
    }
  }
  std::ranges::stable_sort(header.tensors, {},
                           [](const SafetensorsInfo& info) { return std::pair(info.begin, info.end); });
  check_layout(header, file.size() - header.data_begin, who);
  return header;
}

std::string format_safetensors_header(std::span<const SafetensorsInfo> tensors,
                                      const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + json(metadata).dump();
  for (const SafetensorsInfo& info : tensors)
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", text.size() > 1 ? "," : "",
                        json(info.name).dump(), info.dtype, fmt::join(info.shape, ","), info.begin, info.end);
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

}  // namespace qad
