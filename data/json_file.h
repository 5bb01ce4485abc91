// JSON that other programs wrote: parsed strictly, with errors that name the file, line and column.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace qad {

/// Throws on anything but one JSON value, on text that is not UTF-8, on a key that an object has twice, and on nesting
/// deeper than 64. `who` names the source in errors.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& who);
/// `what` says what the file should be, for example "a model's config.json".
[[nodiscard]] nlohmann::json read_json_file(const std::filesystem::path& file, std::string_view what);

}  // namespace qad
