#include "models/families/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "data/files/json_file.h"
#include "models/families/config_keys.h"
#include "models/families/config_reader.h"
#include "models/families/generation_config.h"
#include "models/families/registry.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = ConfigReader::Json;

}  // namespace

ModelConfig parse_hf_config(const std::string& text, const std::string& who) {
  const Json json = parse_python_object(text, who);
  const ConfigReader read(json, who);
  ModelConfig config;
  config.model_type = read.text("model_type", "");
  const Family& family = family_of(config.model_type, who);
  check_keys(read, family.known_keys);
  family.read(read, config);
  return config;
}

std::string download_hint(const fs::path& folder) {
  // A recipe's path is absolute by now, and of two slashes one is left: what the user wrote is its end.
  const std::string written = folder.lexically_proximate(fs::current_path()).string();
  if (written.starts_with("~/") && !fs::exists(folder))
    return fmt::format("shells expand ~ at the beginning of a word only: write $HOME{}", written.substr(1));
  std::string name = written;
  bool is_address = false;
  for (const std::string_view part : {"hf:", "https:", "http:", "/", "/", "huggingface.co/", "hf.co/"})
    if (name.starts_with(part)) name.erase(0, part.size()), is_address = true;
  std::string revision;
  for (const std::string_view mark : {"/tree/", "@"})
    if (const std::size_t at = name.find(mark); at != std::string::npos && (is_address || mark == "@")) {
      revision = " --revision " + name.substr(at + mark.size());
      name.resize(at);
    }
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; };
  const auto is_good = [&](char c) { return is_plain(c) || c == '.' || c == '/'; };
  constexpr auto kFiles =
      std::to_array<std::string_view>({".txt", ".json", ".jsonl", ".yaml", ".h5", ".safetensors", ".gguf", ".bin"});
  const bool is_file = std::ranges::find(kFiles, fs::path(name).extension().string()) != kFiles.end();
  const bool reads_like_one = !name.empty() && !is_file && is_plain(name.front()) && is_plain(name.back()) &&
                              std::ranges::count(name, '/') <= 1 && std::ranges::all_of(name, is_good) &&
                              (is_address || !folder.is_absolute() || name.find('/') != std::string::npos);
  if (!reads_like_one || fs::exists(folder)) return "";
  return fmt::format("if it is on the hub: hf download {}{} --local-dir {}{}", name, revision, name,
                     name == written ? "" : ", and name that folder");
}

void check_model_folder(const fs::path& folder) {
  const Place there = place_at(folder);
  if (there == Place::folder) return;
  throw Error({.who = folder.string(),
               .expected = "a model's folder (config.json and safetensors)",
               .got = what_is_at(folder),
               .hint = there == Place::nothing ? download_hint(folder) : ""},
              ExitCode::usage);
}

ModelConfig read_hf_config(const fs::path& folder) {
  check_model_folder(folder);
  const fs::path file = folder / "config.json";
  ModelConfig config = parse_hf_config(read_file(file, "a model's config.json"), file.string());
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation))
    use_end_tokens(read_file(generation, "a model's generation_config.json"), generation.string(), config);
  return config;
}

void check_plain_model(const fs::path& folder) {
  const fs::path file = folder / "config.json", modelopt = folder / "hf_quant_config.json";
  const Json json = parse_python_object(read_file(file, "a model's config.json"), file.string());
  const ConfigReader read(json, file.string());
  check_not_quantized(read);
  const std::string type = read.text("model_type", "");
  if (read.says("auto_map"))
    if (const Family& family = family_of(type, file.string()); !family.brings_code)
      log_warning("{}: auto_map names code beside it, which is not run: the model is read as transformers' {}",
                  file.string(), family.architecture);
  if (fs::exists(modelopt))
    throw Error({.who = modelopt.string(),
                 .expected = "a model in a floating type",
                 .got = "one that ModelOpt has quantized",
                 .hint = kUnpackedHint});
}

}  // namespace qad
