// Whether a model's folder holds packed weights, of any program, in words for people: such a model is no teacher, and
// nothing starts from it.
#pragma once

#include <filesystem>
#include <string>

namespace qad {

/// "nvfp4 by modelopt", "4 bits by gptq"; empty for ordinary weights, and for a folder of which nothing can be told.
[[nodiscard]] std::string quantized_already(const std::filesystem::path& folder);

}  // namespace qad
