// JSON that other programs wrote: parsed strictly, with errors that name the file, line and column.
#pragma once

#include <exception>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace qad {

/// Throws on anything but one JSON value, on text that is not UTF-8, on a key that an object has twice, and on nesting
/// deeper than 64. `who` names the source in errors: a file, or with `is_line` a file and a line.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& who, bool is_line = false);
/// What the JSON library says of a failure, without its name for it.
[[nodiscard]] std::string json_reason(const std::exception& failure);
/// `what` says what the file should be, for example "a model's config.json".
[[nodiscard]] nlohmann::json read_json_file(const std::filesystem::path& file, std::string_view what);

}  // namespace qad
