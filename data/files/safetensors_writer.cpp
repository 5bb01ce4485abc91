#include "data/files/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/safetensors_header.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingle = "model.safetensors";

struct SizedSpec {
  SafetensorsSpec spec;
  std::uint64_t bytes = 0;
};

std::vector<SizedSpec> checked(const std::vector<SafetensorsSpec>& specs, const std::string& target) {
  std::set<std::string_view> names;
  std::vector<SizedSpec> sized;
  for (const SafetensorsSpec& spec : specs) {
    const std::string who = fmt::format("{}: tensor '{}'", target, spec.name);
    if (spec.name == "__metadata__" || !names.insert(spec.name).second)
      throw Error({.who = who, .expected = "a name of its own", .got = "one that is taken"});
    sized.push_back({spec, safetensors_bytes(spec.dtype, spec.shape, who)});
  }
  return sized;
}

std::vector<SafetensorsSpec> specs_of(const std::vector<SafetensorsEntry>& entries, const std::string& target) {
  std::vector<SafetensorsSpec> specs;
  for (const SafetensorsEntry& entry : entries) specs.push_back({entry.name, entry.dtype, entry.shape});
  const std::vector<SizedSpec> sized = checked(specs, target);
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (sized[i].bytes != entries[i].bytes.size())
      throw Error({.who = fmt::format("{}: tensor '{}'", target, entries[i].name),
                   .expected = fmt::format("{} bytes", sized[i].bytes),
                   .got = std::to_string(entries[i].bytes.size())});
  return specs;
}

std::string_view parent_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(0, dot);
}

// Runs of tensors with one parent, packed into shards first come, first served.
std::vector<std::vector<SizedSpec>> make_shards(const std::vector<SizedSpec>& specs, std::uint64_t shard_bytes) {
  std::vector<std::vector<SizedSpec>> shards(1);
  std::uint64_t filled = 0;
  for (std::size_t begin = 0, end = 0; begin < specs.size(); begin = end) {
    std::uint64_t bytes = 0;
    for (; end < specs.size() && parent_of(specs[end].spec.name) == parent_of(specs[begin].spec.name); ++end)
      bytes += specs[end].bytes;
    if (filled > 0 && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().insert(shards.back().end(), specs.data() + begin, specs.data() + end);
  }
  return shards;
}

PlannedFile plan_file(std::string name, std::vector<SizedSpec> specs, const SafetensorsMetadata& metadata) {
  std::ranges::sort(specs, [](const SizedSpec& a, const SizedSpec& b) {
    const int rank_a = safetensors_dtype_rank(a.spec.dtype), rank_b = safetensors_dtype_rank(b.spec.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.spec.name < b.spec.name;
  });
  std::vector<SafetensorsInfo> infos;
  std::uint64_t position = 0;
  for (const auto& [spec, bytes] : specs) {
    infos.push_back({spec.name, spec.dtype, spec.shape, position, position + bytes});
    position += bytes;
  }
  PlannedFile file{std::move(name), format_safetensors_header(infos, metadata), {}, 0};
  for (const SafetensorsInfo& info : infos)
    file.tensors.push_back({info.name, file.header.size() + info.begin, info.bytes()});
  file.bytes = file.header.size() + position;
  return file;
}

void write_entries(const fs::path& folder, const PlannedFile& file, const std::vector<SafetensorsEntry>& entries) {
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const SafetensorsEntry& entry : entries) bytes[entry.name] = entry.bytes;
  write_planned_file(folder, file, [&](std::string_view name) { return bytes.at(name); });
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
  const std::vector<SizedSpec> specs = checked(specs_of(entries, file.string()), file.string());
  write_entries(file.parent_path(), plan_file(file.filename().string(), specs, metadata), entries);
}

SafetensorsFolderPlan plan_safetensors_folder(const std::vector<SafetensorsSpec>& specs, std::uint64_t shard_bytes,
                                              const std::string& who, const SafetensorsMetadata& metadata) {
  const std::vector<SizedSpec> sized = checked(specs, who);
  std::uint64_t total = 0;
  for (const SizedSpec& spec : sized) total += spec.bytes;
  if (total <= shard_bytes) return {{plan_file(kSingle, sized, metadata)}, ""};

  SafetensorsFolderPlan plan;
  const auto shards = make_shards(sized, shard_bytes);
  nlohmann::json weight_map = nlohmann::json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    plan.files.push_back(plan_file(name, shards[i], metadata));
    for (const SizedSpec& one : shards[i]) weight_map[one.spec.name] = name;
  }
  const nlohmann::json json = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  plan.index = json.dump(2) + "\n";
  return plan;
}

void write_safetensors_folder(const fs::path& folder, const std::vector<SafetensorsEntry>& entries,
                              std::uint64_t shard_bytes, const SafetensorsMetadata& metadata) {
  const SafetensorsFolderPlan plan =
      plan_safetensors_folder(specs_of(entries, folder.string()), shard_bytes, folder.string(), metadata);
  refuse_beside(folder / (plan.index.empty() ? kSafetensorsIndex : kSingle));
  for (const PlannedFile& file : plan.files) write_entries(folder, file, entries);
  // Last, so that an interrupted export is a folder without an index and not one that lies.
  if (!plan.index.empty()) write_file_atomically(folder / kSafetensorsIndex, plan.index);
}

}  // namespace qad
