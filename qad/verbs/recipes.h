// `qad recipes`: the catalogue of recipes, a recipe as it reads after all imports, every key explained, recipes
// checked.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/core/error.h"

namespace qad::verbs {

struct RecipesOptions {
  std::string action = "list";         ///< list | show | explain | check
  std::vector<std::string> arguments;  ///< show: FILE and `a.b=c`; explain: KEY or none; check: FILES, or none for all
};

/// `check` tells the errors of every file at once, as one Error (usage).
ExitCode recipes(const RecipesOptions& options, std::ostream& print);

}  // namespace qad::verbs
