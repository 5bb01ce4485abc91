// Whether what a recipe names is there: for those who are about to run it. A recipe that is only checked may be meant
// for another machine.
#pragma once

#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

/// Reports every file and folder that isn't there, every pattern that matches nothing, and what stands there and is
/// another thing than it should be, at the place of its key in `tree`; of data.train only where it is read. With
/// `missing`, what isn't there goes there, as "teacher.model no/such", and is no problem.
void check_paths(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems,
                 std::vector<std::string>* missing = nullptr);

}  // namespace qad
