#include "models/import/side_files.h"

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

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// By name and kind: configs, code and texts; no weights, whose configs and indices are written with them.
bool goes_along(const fs::path& file) {
  const std::string name = file.filename().string(), kind = file.extension().string();
  if (name.starts_with(".") || name.starts_with("README") || name.ends_with(".index.json")) return false;
  if (is_one_of(name, {"config.json", "hf_quant_config.json", "quantize_config.json", "quant_config.json",
                       "quantization_config.json", "qad_export.json"}))
    return false;
  for (const std::string_view legal : {"LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY"})
    if (name.starts_with(legal)) return true;
  return name == kLlama2cTokenizer || is_one_of(kind, {".json", ".jinja", ".py", ".txt", ".model", ".tiktoken", ".spm",
                                                       ".bpe", ".vocab", ".codes", ".dict"});
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

void copy_small(const fs::path& file, const fs::path& target) {
  if (const std::uintmax_t size = fs::file_size(file); size > kLargest) {
    log_warning("{}: {} MiB, which is no small file beside a model's weights: it does not go along", file.string(),
                size >> 20);
    return;
  }
  write_file_atomically(target, read_file(file, "a model's file"));
}

}  // namespace

void copy_side_files(const fs::path& from, const fs::path& to) {
  for (const fs::path& file : files_in(from))
    if (goes_along(file)) copy_small(file, to / file.filename());
  if (!fs::is_directory(from / kChatTemplateFolder)) return;
  for (const fs::path& file : files_in(from / kChatTemplateFolder))
    if (file.extension() == ".jinja" && !file.filename().string().starts_with("."))
      copy_small(file, to / kChatTemplateFolder / file.filename());
}

}  // namespace qad
