// What must hold between a recipe and the models that it names: weights that are not packed yet, number formats that
// fit the layers, layouts that have a place for them, and rules over parameters that meet some. Told from config.json
// alone, before any work; a model whose folder is not there, or whose config.json can't be read, is left to those who
// load it.
#pragma once

#include "qad/recipe/recipe.h"
#include "qad/recipe/yaml_node.h"

namespace qad {

/// Reports all of it, at the places in `tree`, which the recipe was read from. Names of formats and layouts that there
/// are not were reported before. Quantization rules that meet no layer are warnings.
void check_fit(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems);

/// The same of the tokenizer, for layouts that hold it: this one reads it, so it is asked of a whole recipe once and
/// not of each arm.
void check_tokenizer_fits(const Recipe& recipe, const YamlNode& tree, YamlProblems& problems);

}  // namespace qad
