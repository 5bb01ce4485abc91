#include "qad/recipe/changeable_keys.h"

#include <algorithm>

#include "qad/recipe/recipe_paths.h"
#include "qad/recipe/yaml_fields.h"
#include "qad/recipe/yaml_text.h"

namespace qad {
namespace {

void add_differences(const YamlNode& a, const YamlNode& b, const std::string& key, std::vector<std::string>& keys) {
  if (a.kind != YamlNode::Kind::map || b.kind != YamlNode::Kind::map) {
    if (yaml_text(a) != yaml_text(b)) keys.push_back(key);
    return;
  }
  const auto inside = [&](const std::string& name) { return key.empty() ? name : key + "." + name; };
  for (const YamlNode::Entry& entry : a.entries)
    if (const YamlNode* other = b.find(entry.key)) add_differences(entry.value, *other, inside(entry.key), keys);
    else keys.push_back(inside(entry.key));
  for (const YamlNode::Entry& entry : b.entries)
    if (a.find(entry.key) == nullptr) keys.push_back(inside(entry.key));
}

}  // namespace

std::vector<std::string> changeable_keys() {
  std::vector<std::string> keys;
  for (const KeyDescription& key : describe_fields<Recipe>())
    if (key.may_change) keys.push_back(key.key);
  return keys;
}

bool is_among(const std::string& key, std::span<const std::string> keys) {
  return std::ranges::any_of(keys,
                             [&](const std::string& known) { return key == known || key.starts_with(known + "."); });
}

std::vector<std::string> changed_keys(const Recipe& a, const Recipe& b) {
  std::vector<std::string> keys;
  add_differences(write_fields(a), write_fields(b), "", keys);
  return keys;
}

std::vector<std::string> fixed_differences(Recipe a, Recipe b) {
  const PathChanger erase{[](const std::string&) { return std::string(); }};
  for (Recipe* one : {&a, &b}) one->visit_fields(erase);
  std::vector<std::string> keys = changed_keys(a, b);
  std::erase_if(keys, [&, known = changeable_keys()](const std::string& key) { return is_among(key, known); });
  return keys;
}

}  // namespace qad
