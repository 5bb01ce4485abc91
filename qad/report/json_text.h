// The one JSON document that `--json` prints.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace qad {

/// Indented, its last line ended; bytes that are no UTF-8 (of a file's name, say) become U+FFFD.
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json);

}  // namespace qad
