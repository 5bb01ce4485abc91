// The version of this program, as `qad --version`, summaries and checkpoints say it. CMakeLists.txt says it too
// (tests/layout).
#pragma once

#include <string_view>

namespace qad {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace qad
