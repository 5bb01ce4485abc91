// What must hold between the keys of a recipe, beyond the range of each.
#pragma once

#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

/// Reports every rule that the recipe breaks, at the place of the key in `tree`, which it was read from.
void check_recipe(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems);

}  // namespace qad
