#include "qad/recipe/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "autograd/base/error.h"
#include "qad/recipe/nearest_name.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".yaml";

const char* place_of_environment() {
  const char* set = std::getenv("QAD_RECIPES");
  return set != nullptr && *set != '\0' ? set : nullptr;
}

// Not any folder that is called so: one with our catalogue and presets.
bool has_recipes(const fs::path& folder) {
  std::error_code none;
  return fs::is_regular_file(folder / "README.md", none) && fs::is_directory(folder / "presets", none);
}

std::string without_ending(std::string name) {
  if (name.ends_with(kEnding)) name.resize(name.size() - kEnding.size());
  return name;
}

// What helps somebody who named a recipe that isn't there.
std::string hint_for(const std::string& name) {
  const fs::path folder = recipes_folder();
  std::error_code none;
  if (folder.empty() || !fs::is_directory(folder, none)) return "no folder of recipes: " + looked_in_places();
  const std::vector<std::string> names = recipe_names(folder);
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view nearest = nearest_name(without_ending(name), known);
  return nearest.empty() ? "see qad recipes list" : fmt::format("did you mean \"{}\"?", nearest);
}

}  // namespace

std::vector<fs::path> recipes_places() {
  if (const char* set = place_of_environment()) return {set};
  std::vector<fs::path> places;
  std::error_code none;
  fs::path folder = fs::read_symlink("/proc/self/exe", none).parent_path();
  for (bool is_root = folder.empty(); !is_root; folder = folder.parent_path()) {
    places.push_back(folder / "recipes");
    places.push_back(folder / "share" / "qad" / "recipes");
    is_root = folder == folder.root_path();
  }
  places.emplace_back(QAD_INSTALLED_RECIPES);
  return places;
}

fs::path recipes_folder() {
  if (const char* set = place_of_environment()) return set;
  for (const fs::path& place : recipes_places())
    if (has_recipes(place)) return place;
  return {};
}

std::string looked_in_places() {
  std::vector<std::string> places;
  for (const fs::path& place : recipes_places()) places.push_back(place.string());
  return fmt::format("looked in {}{}", fmt::join(places, ", "),
                     place_of_environment() != nullptr ? ", which QAD_RECIPES names" : "; QAD_RECIPES can name it");
}

fs::path require_recipes_folder() {
  fs::path folder = recipes_folder();
  std::error_code none;
  if (!folder.empty() && fs::is_directory(folder, none)) return folder;
  throw Error({.who = "recipes", .expected = "a folder of recipes", .got = "none", .hint = looked_in_places()},
              ExitCode::usage);
}

std::vector<std::string> recipe_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.path().extension() == kEnding)
      names.push_back(without_ending(entry.path().lexically_relative(folder).string()));
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<fs::path> find_in_catalogue(const std::string& name) {
  const fs::path folder = recipes_folder();
  std::error_code none;
  if (folder.empty() || !fs::is_directory(folder, none)) return {};
  const std::vector<std::string> names = recipe_names(folder);
  const std::string wanted = without_ending(name);
  if (!std::binary_search(names.begin(), names.end(), wanted)) return {};
  return folder / (wanted + std::string(kEnding));
}

bool is_in_catalogue(const fs::path& file) {
  std::error_code none;
  const fs::path folder = fs::weakly_canonical(recipes_folder(), none), whole = fs::weakly_canonical(file, none);
  return !folder.empty() && std::ranges::mismatch(folder, whole).in1 == folder.end();
}

fs::path find_recipe(const fs::path& given) {
  std::error_code none;
  if (fs::is_regular_file(given, none)) return given;
  if (auto file = find_in_catalogue(given.string())) return *file;
  const bool is_there = fs::exists(given, none);
  throw Error(
      {given.string(), "a recipe", is_there ? "no file" : "nothing there", is_there ? "" : hint_for(given.string())},
      ExitCode::usage);
}

}  // namespace qad
