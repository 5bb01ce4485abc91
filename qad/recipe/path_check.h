// Whether what a recipe names is there: for those who are about to run it. A recipe that is only checked may be meant
// for another machine.
#pragma once

#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

/// Reports every file and folder that isn't there, at the place of its key in `tree`; of data.train only where it is
/// read. What patterns match is found out by who reads them.
void check_paths(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems);

}  // namespace qad
