// Man pages from the verb table: qad(1), and qad-VERB(1) for each verb.
#pragma once

#include <string>
#include <vector>

#include "qad/cli/verb_description.h"

namespace qad::cli {

[[nodiscard]] std::string man_page(const VerbDescription& verb);
[[nodiscard]] std::string main_man_page(const std::vector<VerbDescription>& verbs);

}  // namespace qad::cli
