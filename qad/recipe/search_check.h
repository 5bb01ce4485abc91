// What must hold of a recipe that searches for number formats: its candidates, and a budget that the model's layers can
// meet.
#pragma once

#include <functional>
#include <span>

#include "models/families/linear_shapes.h"
#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

/// Of its keys alone.
void check_search(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems);

/// Of a model of these layers: budgets that can be met, and a mixture of all candidates, `check_quantize(config)`
/// telling whether the model and the layouts take it. Names of formats that there are not were reported before.
void check_search_fit(const Recipe& recipe, std::span<const LinearShape> layers, const YamlNode& tree,
                      YamlProblems& problems, const std::function<void(const QuantizeConfig&)>& check_quantize);

}  // namespace qad
