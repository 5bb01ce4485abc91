#include "models/import/side_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "data/tokenizer/tokenizer_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t kLargest = std::uintmax_t{64} << 20;
constexpr std::size_t kMostFiles = 1000, kDeepest = 8;

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Of a model's root: what is written with its weights.
bool is_of_weights(std::string_view name) {
  return name.ends_with(".index.json") ||
         is_one_of(name, {"config.json", "hf_quant_config.json", "quantize_config.json", "quant_config.json",
                          "quantization_config.json", "qad_export.json"});
}

// By name and kind: configs, code (that of kernels too) and texts.
bool goes_along(const fs::path& file) {
  const std::string name = file.filename().string(), kind = file.extension().string();
  if (name.starts_with(".") || name.starts_with("README")) return false;
  for (const std::string_view legal : {"LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY"})
    if (name.starts_with(legal)) return true;
  return name == kLlama2cTokenizer ||
         is_one_of(kind, {".json", ".jinja", ".py", ".txt", ".model", ".tiktoken", ".spm", ".bpe", ".vocab", ".codes",
                          ".dict", ".cpp", ".cu", ".cuh", ".h"});
}

// Weights, a training's state, or the work of a run of ours: a model of its own, or many.
bool is_anothers(const fs::path& file) {
  const std::string name = file.filename().string(), kind = file.extension().string();
  return is_one_of(name, {"recipe.yaml", "quantize.yaml", "qad_export.json", "trainer_state.json"}) ||
         is_one_of(kind, {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".onnx_data", ".h5",
                          ".msgpack", ".tflite", ".mlmodel", ".engine"});
}

std::vector<fs::path> sorted(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::ranges::sort(entries);
  return entries;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files = sorted(folder);
  std::erase_if(files, [](const fs::path& one) { return !fs::is_regular_file(one); });
  return files;
}

// Regular files of a folder at any depth that code and processors have; links to folders are followed.
void collect(const fs::path& folder, std::size_t depth, std::vector<fs::path>& files) {
  if (depth == kDeepest) return;
  for (const fs::path& entry : sorted(folder)) {
    if (files.size() > kMostFiles) return;
    const std::string name = entry.filename().string();
    if (name.starts_with(".") || name == "__pycache__") continue;
    if (fs::is_directory(entry)) collect(entry, depth + 1, files);
    else if (fs::is_regular_file(entry)) files.push_back(entry);
  }
}

void copy_small(const fs::path& file, const fs::path& target) {
  if (const std::uintmax_t size = fs::file_size(file); size > kLargest) {
    log_warning("{}: {} MiB, which is no small file beside a model's weights: it does not go along", file.string(),
                size >> 20);
    return;
  }
  write_file_atomically(target, read_file(file, "a model's file"));
}

// Code and processors in folders of their own: custom_generate/generate.py, image_processor/preprocessor_config.json.
void copy_subfolder(const fs::path& folder, const fs::path& to) {
  const std::string name = folder.filename().string();
  if (name.starts_with(".") || name == "__pycache__") return;
  std::vector<fs::path> files;
  collect(folder, 0, files);
  const bool is_many = files.size() > kMostFiles;
  if (is_many || name.starts_with("checkpoint-") || std::ranges::any_of(files, is_anothers)) {
    log_info("{}: {}, so it does not go along with the weights", folder.string(),
             is_many ? fmt::format("more than {} files", kMostFiles) : "holds a model or a run of its own");
    return;
  }
  std::erase_if(files, [](const fs::path& one) { return !goes_along(one); });
  for (const fs::path& file : files) copy_small(file, to / file.lexically_relative(folder.parent_path()));
}

}  // namespace

void copy_side_files(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : files_in(from))
    if (goes_along(file) && !is_of_weights(file.filename().string())) copy_small(file, to / file.filename());
  for (const fs::path& entry : sorted(from))
    if (fs::is_directory(entry)) copy_subfolder(entry, to);
}

}  // namespace qad
