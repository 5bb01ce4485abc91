#include "data/files/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/safetensors_header.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

void check_entries(const std::vector<SafetensorsEntry>& entries, const fs::path& target) {
  std::set<std::string_view> names;
  for (const SafetensorsEntry& entry : entries) {
    const std::string who = fmt::format("{}: tensor '{}'", target.string(), entry.name);
    if (entry.name == "__metadata__" || !names.insert(entry.name).second)
      throw Error({.who = who, .expected = "a name of its own", .got = "one that is taken"});
    const std::uint64_t bytes = safetensors_bytes(entry.dtype, entry.shape, who);
    if (bytes != entry.bytes.size())
      throw Error({.who = who, .expected = fmt::format("{} bytes", bytes), .got = std::to_string(entry.bytes.size())});
  }
}

void write_bytes(const fs::path& file, const std::string& header, const std::vector<SafetensorsEntry>& entries) {
  const auto fail = [&] {
    throw Error(
        {file.string(), "a file that can be written", std::strerror(errno), errno == ENOSPC ? "free some space" : ""});
  };
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "wbe"), &std::fclose);
  if (out == nullptr) fail();
  if (std::fwrite(header.data(), 1, header.size(), out.get()) != header.size()) fail();
  for (const SafetensorsEntry& entry : entries)
    if (!entry.bytes.empty() && std::fwrite(entry.bytes.data(), 1, entry.bytes.size(), out.get()) != entry.bytes.size())
      fail();
  if (std::fclose(out.release()) != 0) fail();
}

std::string_view parent_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(0, dot);
}

// Runs of entries with one parent, packed into shards first come, first served.
std::vector<std::vector<SafetensorsEntry>> make_shards(const std::vector<SafetensorsEntry>& entries,
                                                       std::uint64_t shard_bytes) {
  std::vector<std::vector<SafetensorsEntry>> shards(1);
  std::uint64_t filled = 0;
  for (std::size_t begin = 0, end = 0; begin < entries.size(); begin = end) {
    std::uint64_t bytes = 0;
    for (; end < entries.size() && parent_of(entries[end].name) == parent_of(entries[begin].name); ++end)
      bytes += entries[end].bytes.size();
    if (filled > 0 && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().insert(shards.back().end(), entries.data() + begin, entries.data() + end);
  }
  return shards;
}

void refuse_beside(const fs::path& other) {
  if (fs::exists(other))
    throw Error({.who = other.string(),
                 .expected = "a folder without weights in another layout",
                 .got = "this file",
                 .hint = "choose an empty folder"});
}

}  // namespace

SafetensorsEntry safetensors_entry(const std::string& name, const Tensor& tensor) {
  static constexpr auto kNames = [](DType dtype) -> const char* {
    switch (dtype) {
      case DType::f32: return "F32";
      case DType::bf16: return "BF16";
      case DType::f16: return "F16";
      case DType::i64: return "I64";
      case DType::i32: return "I32";
      case DType::u8: return "U8";
    }
    return "";
  };
  const auto extents = tensor.shape().extents();
  return {name, kNames(tensor.dtype()), {extents.begin(), extents.end()}, {tensor.raw(), tensor.bytes()}};
}

void write_safetensors(const fs::path& file, std::vector<SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata) {
  check_entries(entries, file);
  std::ranges::sort(entries, [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    const int rank_a = safetensors_dtype_rank(a.dtype), rank_b = safetensors_dtype_rank(b.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
  std::vector<SafetensorsInfo> infos;
  std::uint64_t position = 0;
  for (const SafetensorsEntry& entry : entries) {
    infos.push_back({entry.name, entry.dtype, entry.shape, position, position + entry.bytes.size()});
    position += entry.bytes.size();
  }
  const std::string header = format_safetensors_header(infos, metadata);
  write_atomically(file, [&](const fs::path& temporary) { write_bytes(temporary, header, entries); });
}

void write_safetensors_folder(const fs::path& folder, const std::vector<SafetensorsEntry>& entries,
                              std::uint64_t shard_bytes, const SafetensorsMetadata& metadata) {
  check_entries(entries, folder);
  const fs::path single = folder / "model.safetensors";
  const fs::path index = folder / "model.safetensors.index.json";
  std::uint64_t total = 0;
  for (const SafetensorsEntry& entry : entries) total += entry.bytes.size();
  if (total <= shard_bytes) {
    refuse_beside(index);
    return write_safetensors(single, entries, metadata);
  }

  refuse_beside(single);
  const auto shards = make_shards(entries, shard_bytes);
  nlohmann::json weight_map = nlohmann::json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(folder / name, shards[i], metadata);
    for (const SafetensorsEntry& entry : shards[i]) weight_map[entry.name] = name;
  }
  // Last, so that an interrupted export is a folder without an index and not one that lies.
  const nlohmann::json json = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  write_file_atomically(index, json.dump(2) + "\n");
}

}  // namespace qad
