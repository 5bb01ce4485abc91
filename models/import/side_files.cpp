#include "models/import/side_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
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

// Of a model's root: what is written with its weights; a folder of such a name would stand in its way.
bool is_of_weights(std::string_view name) {
  return name.ends_with(".index.json") || name.ends_with(".safetensors") || name.ends_with(".gguf") ||
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

// `error` is set, and entries are missing, where a folder can't be read (lost+found of a disk of its own).
std::vector<fs::path> sorted(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  std::ranges::sort(entries);
  return entries;
}

// Regular files of a folder at any depth that code and processors have. Links to folders are followed, so that what is
// looked at is counted, `seen`: they may lead around without end.
void collect(const fs::path& folder, std::size_t depth, std::vector<fs::path>& files, std::size_t& seen,
             std::error_code& error) {
  if (depth == kDeepest) seen = kMostFiles + 1;
  for (const fs::path& entry : sorted(folder, error)) {
    if (error || seen > kMostFiles || ++seen > kMostFiles) return;
    const std::string name = entry.filename().string();
    std::error_code ignored;
    if (name.starts_with(".") || name == "__pycache__") continue;
    if (fs::is_directory(entry, ignored)) collect(entry, depth + 1, files, seen, error);
    else if (fs::is_regular_file(entry, ignored)) files.push_back(entry);
  }
}

void copy_small(const fs::path& file, const fs::path& target) {
  std::error_code ignored;
  if (const std::uintmax_t size = fs::file_size(file, ignored); !ignored && size > kLargest) {
    log_warning("{}: {} MiB, which is no small file beside a model's weights: it does not go along", file.string(),
                size >> 20);
    return;
  }
  std::string text;
  try {
    text = read_file(file, "a model's file");
  } catch (const Error& error) {  // the weights are made
    log_warning("{}; it does not go along", error.what());
    return;
  }
  write_file_atomically(target, text);
}

// Code and processors in folders of their own: custom_generate/generate.py, image_processor/preprocessor_config.json.
void copy_subfolder(const fs::path& folder, const fs::path& to) {
  const std::string name = folder.filename().string();
  if (name.starts_with(".") || name == "__pycache__") return;
  std::vector<fs::path> files;
  std::size_t seen = 0;
  std::error_code error;
  collect(folder, 0, files, seen, error);
  std::uintmax_t bytes = 0;
  for (const fs::path& file : files)
    if (std::error_code gone; goes_along(file))
      if (const std::uintmax_t size = fs::file_size(file, gone); !gone) bytes += size;
  std::string why;
  if (error) why = error.message();
  else if (bytes > kLargest) why = fmt::format("{} MiB, which is no small folder beside weights", bytes >> 20);
  else if (seen > kMostFiles) why = fmt::format("more than {} files or {} folders in each other", kMostFiles, kDeepest);
  else if (is_of_weights(name)) why = "has the name of a file that is written with the weights";
  else if (name.starts_with("checkpoint-") || std::ranges::any_of(files, is_anothers))
    why = "holds a model or a run of its own";
  if (!why.empty()) {
    log_info("{}: {}, so it does not go along with the weights", folder.string(), why);
    return;
  }
  std::erase_if(files, [](const fs::path& one) { return !goes_along(one); });
  for (const fs::path& file : files) copy_small(file, to / file.lexically_relative(folder.parent_path()));
}

}  // namespace

void copy_side_files(const fs::path& from, const fs::path& to) {
  std::error_code error, ignored;
  for (const fs::path& entry : sorted(from, error))
    if (fs::is_directory(entry, ignored)) copy_subfolder(entry, to);
    else if (fs::is_regular_file(entry, ignored) && goes_along(entry) && !is_of_weights(entry.filename().string()))
      copy_small(entry, to / entry.filename());
  if (error) throw Error({.who = from.string(), .expected = "a folder that can be read", .got = error.message()});
}

}  // namespace qad
