#include "data/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "autograd/base/error.h"
#include "data/files/json_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

std::optional<DType> tensor_dtype(std::string_view dtype) {
  if (dtype == "F32") return DType::f32;
  if (dtype == "BF16") return DType::bf16;
  if (dtype == "F16") return DType::f16;
  if (dtype == "I64") return DType::i64;
  if (dtype == "I32") return DType::i32;
  if (dtype == "U8" || dtype == "I8" || dtype == "BOOL" || dtype.starts_with("F8_")) return DType::u8;
  return std::nullopt;
}

// What else such a folder may hold.
std::string hint_without(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".bin") && name.starts_with("pytorch_model"))
      return name + " is a pickle: load the model in transformers and save it by save_pretrained";
    if (name == "adapter_model.safetensors") return "it is an adapter: merge it into its model first";
  }
  return "";
}

[[noreturn]] void no_such_tensor(const fs::path& path, const std::string& name) {
  throw Error({.who = path.string(), .expected = fmt::format("a tensor '{}'", name), .got = "none"});
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& file)
    : path_(file),
      file_(std::make_shared<MappedFile>(file, "a safetensors file")),
      header_(parse_safetensors_header(file_->bytes(), file.string())) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

const SafetensorsInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) no_such_tensor(path_, name);
  return header_.tensors[found->second];
}

std::span<const std::byte> SafetensorsFile::bytes(const std::string& name) const {
  const SafetensorsInfo& tensor = info(name);
  return file_->bytes().subspan(header_.data_begin + tensor.begin, tensor.bytes());
}

Tensor SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsInfo& stored = info(name);
  const std::string who = fmt::format("{}: tensor '{}'", path_.string(), name);
  const std::optional<DType> dtype = tensor_dtype(stored.dtype);
  if (!dtype)
    throw Error({.who = who, .expected = "F32, F16, BF16, I64, I32 or a one-byte dtype", .got = stored.dtype});
  if (stored.shape.size() > Shape::kMaxRank)
    throw Error({.who = who, .expected = "at most four axes", .got = std::to_string(stored.shape.size())});
  return Tensor::borrow(bytes(name), file_, Shape(std::span(stored.shape)), *dtype);
}

SafetensorsFolder::SafetensorsFolder(const fs::path& path) : path_(path) {
  fs::path file = path;
  if (fs::is_directory(path)) {
    file = path / kSingleFile;
    if (!fs::exists(file) && fs::exists(path / kIndexFile)) file = path / kIndexFile;
    if (!fs::exists(file))
      throw Error({.who = path.string(),
                   .expected = fmt::format("{} or {}", kSingleFile, kIndexFile),
                   .got = "neither",
                   .hint = hint_without(path)},
                  ExitCode::usage);
  }
  if (file.extension() == ".json") read_index(file);
  else add_file(file);
}

void SafetensorsFolder::add_file(const fs::path& file) {
  const SafetensorsFile& added = files_.emplace_back(file);
  for (const SafetensorsInfo& tensor : added.tensors()) {
    const auto [entry, is_new] = file_of_.emplace(tensor.name, files_.size() - 1);
    if (!is_new)
      throw Error({.who = path_.string(),
                   .expected = fmt::format("tensor '{}' in one file", tensor.name),
                   .got = fmt::format("one in {} and one in {}", files_[entry->second].path().filename().string(),
                                      file.filename().string()),
                   .hint = "which one is meant? remove the other"});
  }
}

void SafetensorsFolder::read_index(const fs::path& index) {
  const nlohmann::json json = read_json_file(index, "an index of safetensors shards");
  const std::string who = index.string();
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    throw Error({.who = who, .expected = "a weight_map from tensors to files", .got = "none"});
  std::set<std::string> opened;
  for (const auto& [name, value] : json["weight_map"].items()) {
    const std::string shard = value.is_string() ? value.get<std::string>() : "";
    // A shard is a neighbour of its index: a name with a folder in it could reach any file of the machine.
    if (shard.empty() || fs::path(shard).filename() != shard || shard == "..")
      throw Error(
          {.who = who, .expected = fmt::format("the name of a file beside it for '{}'", name), .got = value.dump()});
    const fs::path file = index.parent_path() / shard;
    if (opened.insert(shard).second) {
      if (std::error_code ignored; !fs::exists(file, ignored))
        throw Error({.who = who,
                     .expected = fmt::format("'{}' beside it, which tensor '{}' is in", shard, name),
                     .got = "no such file",
                     .hint = "download the folder again"},
                    ExitCode::usage);
      add_file(file);
    }
    const auto found = file_of_.find(name);
    if (found == file_of_.end() || files_[found->second].path() != file)
      throw Error(
          {.who = who, .expected = fmt::format("tensor '{}' in '{}'", name, shard), .got = "a file without it"});
  }
}

std::vector<std::string> SafetensorsFolder::unread_files() const {
  std::vector<std::string> unread;
  if (!fs::is_directory(path_)) return unread;
  const auto is_read = [&](const fs::path& file) {
    const bool by_index = files_.size() != 1 || files_.front().path().filename() != kSingleFile;
    return (by_index && file.filename() == kIndexFile) ||
           std::ranges::any_of(files_, [&](const SafetensorsFile& one) { return one.path() == file; });
  };
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    const bool looks_like_one = name.starts_with("model") && (name.ends_with(".safetensors") || name == kIndexFile);
    if (looks_like_one && !is_read(entry.path())) unread.push_back(name);
  }
  std::ranges::sort(unread);
  return unread;
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  names.reserve(file_of_.size());
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

const SafetensorsFile& SafetensorsFolder::file_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) no_such_tensor(path_, name);
  return files_[found->second];
}

}  // namespace qad
