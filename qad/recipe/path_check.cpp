#include "qad/recipe/path_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/place.h"
#include "data/files/source_files.h"
#include "models/families/hf_config.h"
#include "qad/recipe/model_files.h"
#include "qad/recipe/yaml_fields.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// The run whose checkpoint, or whose folder of checkpoints, a path is; empty for others.
std::string run_of_checkpoint(const fs::path& path) {
  fs::path folder = path.has_filename() ? path : path.parent_path();
  if (place_at(path) == Place::file) folder = folder.parent_path();
  const fs::path run = folder.parent_path();
  return folder.filename() == "checkpoints" && is_run_folder(run) ? (run.empty() ? "." : run.string()) : "";
}

bool is_model(const fs::path& folder) {
  return is_run_folder(folder) || place_at(folder / "config.json") != Place::nothing;
}

// Visits the fields of one map of the recipe.
class PathCheck {
 public:
  // `map`: null where the recipe does not say it.
  PathCheck(const YamlNode* map, const YamlPosition& above, std::string key, YamlProblems& problems,
            std::vector<std::string>* missing)
      : map_(map),
        at_(map != nullptr ? map->at : above),
        key_(std::move(key)),
        problems_(problems),
        missing_(missing) {}

  template <class T>
  void operator()(const Field& field, T& value) {
    const YamlNode* const node = map_ != nullptr ? map_->find(field.name) : nullptr;
    look(node, field, detail::join_key(key_, field.name), value);
  }

 private:
  template <class T>
  void look(const YamlNode* node, const Field& field, const std::string& key, T& value) {
    if constexpr (detail::is_optional<T>) {
      if (value) look(node, field, key, *value);
    } else if constexpr (detail::is_vector<T>) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        const bool is_item = node != nullptr && i < node->items.size();
        auto& item = value[i];
        look(is_item ? &node->items[i] : node, field, is_item ? fmt::format("{}[{}]", key, i) : key, item);
      }
    } else if constexpr (HasFields<T>) {
      value.visit_fields(PathCheck(node, at_, key, problems_, missing_));
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (field.is_path && !value.empty() && value != field.path_word) look_at(node, key, value);
    }
  }

  void look_at(const YamlNode* node, const std::string& key, const std::string& path) {
    const YamlPosition& at = node != nullptr ? node->at : at_;
    const bool names_model = key.ends_with(".model");
    const bool names_folder = names_model || key.ends_with("tokenizer") || key.ends_with("chat_template");
    const std::string expected = names_model ? "a model's folder" : "a file";
    const Place place = place_at(path);
    if (place == Place::nothing) {
      const bool is_pattern = !names_folder && has_pattern(path);
      if (is_pattern && matches_files(path)) return;
      if (missing_ != nullptr) {
        const std::string line = fmt::format("{} {}", key, path);
        if (std::ranges::find(*missing_, line) == missing_->end()) missing_->push_back(line);
      } else if (is_pattern) {
        problems_.add(at, key, "files that this pattern matches", "none: " + path,
                      "a pattern is relative to the working directory");
      } else {
        problems_.add(at, key, expected, "nothing there: " + path,
                      names_model || path.starts_with("~") ? download_hint(path) : "");
      }
    } else if (!names_model) {
      if (place == Place::folder && !names_folder)
        problems_.add(at, key, expected, "a folder: " + path,
                      (fs::path(path) / "*.txt").string() + " names files in it");
    } else if (const std::string run = run_of_checkpoint(path); !run.empty()) {
      problems_.add(at, key, expected,
                    fmt::format("{}: {}", place == Place::folder ? "a run's checkpoints" : "a run's checkpoint", path),
                    "name the run's folder: " + run);
    } else if (place != Place::folder) {
      problems_.add(at, key, expected, fmt::format("{}: {}", what_is_at(path), path));
    } else if (!is_model(path)) {
      problems_.add(at, key, expected + " (config.json and safetensors)", "a folder without config.json: " + path);
    }
  }

  const YamlNode* map_;
  YamlPosition at_;
  std::string key_;
  YamlProblems& problems_;
  std::vector<std::string>* missing_;
};

}  // namespace

void check_paths(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems,
                 std::vector<std::string>* missing) {
  Recipe read = recipe;
  if (!trains_on_text(recipe)) read.data.train = {};
  read.visit_fields(PathCheck(&tree, tree.at, "", problems, missing));
}

}  // namespace qad
