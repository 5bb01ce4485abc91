// What must hold among the keys of `train` and `loss`, and between them and the rest of a recipe.
#pragma once

#include <functional>
#include <string>

#include "qad/recipe/recipe.h"

namespace qad {

using ReportProblem =
    std::function<void(const std::string& key, std::string expected, std::string got, std::string hint)>;
void check_training(const Recipe& recipe, const ReportProblem& report);

}  // namespace qad
