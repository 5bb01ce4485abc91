#include "qad/verbs/recipes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "qad/recipe/catalogue.h"
#include "qad/recipe/nearest_name.h"
#include "qad/recipe/peer_words.h"
#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_tree.h"
#include "qad/report/json_text.h"

namespace qad::verbs {
namespace {

namespace fs = std::filesystem;

// `name` in its folder, as `find_recipe` finds it.
fs::path file_of(const fs::path& folder, const std::string& name) { return folder / (name + ".yaml"); }

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const std::string& name : recipe_names(folder)) files.push_back(file_of(folder, name));
  return files;
}

void list(std::ostream& print) {
  const fs::path folder = require_recipes_folder();
  for (const std::string& name : recipe_names(folder))
    print << fmt::format("{:<36} {}\n", name, recipe_title(file_of(folder, name)));
}

// What the recipe and its imports say; nothing for a part.
std::optional<std::string> recipe_kind(const fs::path& file) {
  YamlProblems problems;
  const YamlNode tree = load_yaml(file, recipes_folder(), problems);
  const YamlNode* kind = tree.find("kind");
  return kind == nullptr ? std::optional<std::string>() : kind->scalar;
}

void list_json(std::ostream& print) {
  const fs::path folder = require_recipes_folder();
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& name : recipe_names(folder)) {
    const fs::path file = file_of(folder, name);
    nlohmann::ordered_json one = {{"name", name}, {"kind", nullptr}};
    if (const auto kind = recipe_kind(file)) one["kind"] = *kind;
    one["title"] = recipe_title(file);
    one["file"] = file.string();
    all.push_back(std::move(one));
  }
  print << json_text(all);
}

void show(const std::vector<std::string>& arguments, std::ostream& print) {
  if (arguments.empty())
    throw Error({.who = "recipes show", .expected = "a recipe", .got = "none", .hint = "see qad recipes list"},
                ExitCode::usage);
  print << recipe_text(load_recipe(arguments.front(), {arguments.begin() + 1, arguments.end()}));
}

void explain(const std::vector<std::string>& arguments, std::ostream& print) {
  std::vector<KeyDescription> keys = describe_recipe();
  if (!arguments.empty()) {
    const std::string& wanted = arguments.front();
    std::vector<KeyDescription> chosen;
    for (const KeyDescription& key : keys)
      if (key.key == wanted || key.key.starts_with(wanted + ".") || key.key.starts_with(wanted + "[]") ||
          key.key.ends_with("." + wanted))
        chosen.push_back(key);
    if (chosen.empty()) {
      std::vector<std::string_view> names;
      for (const KeyDescription& key : keys) names.push_back(key.key);
      const std::string ours = place_of_key(wanted);
      const std::string_view nearest = ours.empty() ? nearest_name(wanted, names) : "";
      std::string hint = "without a key it explains all";
      if (!ours.empty()) hint = fmt::format("here that is {}", ours);
      else if (!nearest.empty()) hint = fmt::format("did you mean \"{}\"?", nearest);
      throw Error({.who = "recipes explain", .got = fmt::format("unknown key \"{}\"", wanted), .hint = hint},
                  ExitCode::usage);
    }
    keys = std::move(chosen);
  }
  print << description_text(keys);
}

void check(const std::vector<std::string>& arguments, std::ostream& print) {
  std::vector<fs::path> files;
  for (const std::string& name : arguments) {
    if (!fs::is_directory(name) || find_in_catalogue(name)) files.emplace_back(name);
    else
      for (const fs::path& inside : files_of(name)) files.push_back(inside);
  }
  if (arguments.empty()) files = files_of(require_recipes_folder());
  std::string errors;
  for (const fs::path& name : files) {
    try {
      const fs::path file = find_recipe(name);
      std::vector<std::string> missing;
      const bool is_whole = check_recipe_file(file, &missing);
      print << fmt::format("{}: good{}", file.string(), is_whole ? "" : " (a part to import)");
      if (!missing.empty()) print << fmt::format(", but not there yet: {}", fmt::join(missing, ", "));
      print << "\n";
    } catch (const Error& error) {
      errors += (errors.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!errors.empty()) throw Error({.got = std::move(errors)}, ExitCode::usage);
}

}  // namespace

std::string recipe_title(const fs::path& file) {
  std::ifstream text(file);
  std::string title, line;
  while (std::getline(text, line) && line.starts_with("# ") && !title.ends_with('.'))
    title += (title.empty() ? "" : " ") + line.substr(2);
  return title;
}

ExitCode recipes(const RecipesOptions& options, std::ostream& print) {
  constexpr auto kActions = std::to_array<std::string_view>({"list", "show", "explain", "check"});
  if (options.json && options.action != "list")
    throw Error({.who = "recipes " + options.action, .got = "--json is of recipes list"}, ExitCode::usage);
  if (options.action == "list" && !options.arguments.empty())
    throw Error({.who = "recipes list", .got = fmt::format("one argument too many: \"{}\"", options.arguments.front())},
                ExitCode::usage);
  if (options.action == "list") options.json ? list_json(print) : list(print);
  else if (options.action == "show") show(options.arguments, print);
  else if (options.action == "explain") explain(options.arguments, print);
  else if (options.action == "check") check(options.arguments, print);
  else
    throw Error(
        {"recipes", "", fmt::format("unknown action \"{}\"", options.action), name_hint(options.action, kActions)},
        ExitCode::usage);
  return ExitCode::done;
}

}  // namespace qad::verbs
