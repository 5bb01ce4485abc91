// Nodes as YAML text: what a run's folder and a checkpoint keep as the resolved recipe. Reading it gives the same
// nodes.
#pragma once

#include <string>

#include "qad/recipe/yaml_node.h"

namespace qad {

/// Block style, two spaces a level; lists of scalars on one line. Text is quoted where it would read as something else.
[[nodiscard]] std::string yaml_text(const YamlNode& node);

}  // namespace qad
