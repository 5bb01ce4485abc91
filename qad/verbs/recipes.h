// `qad recipes`: the catalogue of recipes, a recipe as it reads after all imports, every key explained, recipes
// checked.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct RecipesOptions {
  std::string action = "list";         ///< list | show | explain | check
  std::vector<std::string> arguments;  ///< show: RECIPE and `a.b=c`; explain: KEY or none; check: RECIPES, none for all
  bool json = false;                   ///< list: one JSON array of {name, kind, title, file}
};

/// `check` tells the errors of every file at once, as one Error (usage).
ExitCode recipes(const RecipesOptions& options, std::ostream& print);

/// What the file says it is: its first comment, up to the line that ends in a full stop.
[[nodiscard]] std::string recipe_title(const std::filesystem::path& file);

}  // namespace qad::verbs
