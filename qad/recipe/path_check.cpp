#include "qad/recipe/path_check.h"

#include <fmt/format.h>

#include "autograd/base/place.h"
#include "data/files/source_files.h"
#include "models/families/hf_config.h"
#include "qad/recipe/yaml_fields.h"

namespace qad {
namespace {

// Visits the fields of one map of the recipe.
class PathCheck {
 public:
  // `map`: null where the recipe does not say it.
  PathCheck(const YamlNode* map, const YamlPosition& above, std::string key, YamlProblems& problems)
      : map_(map), at_(map != nullptr ? map->at : above), key_(std::move(key)), problems_(problems) {}

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
      value.visit_fields(PathCheck(node, at_, key, problems_));
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (field.is_path && !value.empty() && value != field.path_word) look_at(node, key, value);
    }
  }

  void look_at(const YamlNode* node, const std::string& key, const std::string& path) {
    if (place_at(path) != Place::nothing || has_pattern(path)) return;
    const bool is_model = key.ends_with(".model");
    problems_.add(node != nullptr ? node->at : at_, key, is_model ? "a model's folder" : "a file",
                  fmt::format("{}: {}", what_is_at(path), path), is_model ? download_hint(path) : "");
  }

  const YamlNode* map_;
  YamlPosition at_;
  std::string key_;
  YamlProblems& problems_;
};

}  // namespace

void check_paths(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems) {
  Recipe read = recipe;
  if (!trains_on_text(recipe)) read.data.train = {};
  read.visit_fields(PathCheck(&tree, tree.at, "", problems));
}

}  // namespace qad
