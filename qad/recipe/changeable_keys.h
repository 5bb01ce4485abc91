// What of a recipe a run may go on with otherwise than it began (Field::changeable).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "qad/recipe/recipe.h"

namespace qad {

/// Keys and sections, as `train.lr`.
[[nodiscard]] std::vector<std::string> changeable_keys();
/// Whether a key is one of them, or in a section that is.
[[nodiscard]] bool is_among(const std::string& key, std::span<const std::string> keys);

/// The keys whose values differ.
[[nodiscard]] std::vector<std::string> changed_keys(const Recipe& a, const Recipe& b);
/// Of these, those that may not change; of a path no change is seen, what lies there may have moved.
[[nodiscard]] std::vector<std::string> fixed_differences(Recipe a, Recipe b);

}  // namespace qad
