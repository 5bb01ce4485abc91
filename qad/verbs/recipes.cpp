#include "qad/verbs/recipes.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <ostream>

#include "qad/recipe/nearest_name.h"
#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_tree.h"

namespace qad::verbs {
namespace {

namespace fs = std::filesystem;

fs::path catalogue() {
  fs::path folder = recipes_folder();
  if (folder.empty() || !fs::is_directory(folder))
    throw Error({"recipes", "a folder of recipes", folder.empty() ? "none" : folder.string(), "set QAD_RECIPES"});
  return folder;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// A path as given, or a name in the catalogue.
fs::path file_named(const std::string& name) {
  if (fs::is_regular_file(name)) return name;
  const fs::path folder = recipes_folder();
  for (const char* ending : {"", ".yaml"})
    if (fs::path file = folder / (name + ending); !folder.empty() && fs::is_regular_file(file)) return file;
  return name;
}

void list(std::ostream& print) {
  const fs::path folder = catalogue();
  for (const fs::path& file : files_of(folder))
    print << fmt::format("{:<36} {}\n", fs::relative(file, folder).replace_extension().string(), recipe_title(file));
}

void show(const std::vector<std::string>& arguments, std::ostream& print) {
  if (arguments.empty()) throw Error({"recipes show", "a recipe", "none", "see qad recipes list"}, ExitCode::usage);
  print << recipe_text(load_recipe(file_named(arguments.front()), {arguments.begin() + 1, arguments.end()}));
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
      const std::string_view nearest = nearest_name(wanted, names);
      throw Error({"recipes explain", "", fmt::format("unknown key \"{}\"", wanted),
                   nearest.empty() ? "without a key it explains all" : fmt::format("did you mean \"{}\"?", nearest)},
                  ExitCode::usage);
    }
    keys = std::move(chosen);
  }
  print << description_text(keys);
}

void check(const std::vector<std::string>& arguments, std::ostream& print) {
  std::vector<fs::path> files;
  for (const std::string& name : arguments) {
    const fs::path file = file_named(name);
    if (!fs::is_directory(file)) files.push_back(file);
    else
      for (const fs::path& inside : files_of(file)) files.push_back(inside);
  }
  if (arguments.empty()) files = files_of(catalogue());
  std::string errors;
  for (const fs::path& file : files) {
    try {
      const bool is_whole = check_recipe_file(file);
      print << fmt::format("{}: good{}\n", file.string(), is_whole ? "" : " (a part to import)");
    } catch (const Error& error) {
      errors += (errors.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!errors.empty()) throw Error({"", "", std::move(errors), ""}, ExitCode::usage);
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
  if (options.action == "list") list(print);
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
