// JSON that other programs wrote: parsed strictly, or as Python's json module reads it, with errors that name the file,
// line and column.
#pragma once

#include <exception>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace qad {

/// Throws on anything but one JSON value, on text that is not UTF-8, on a key that an object has twice, and on nesting
/// deeper than 64. `who` names the source in errors: a file, or with `is_line` a file and a line. Time and memory grow
/// with the text alone.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& who, bool is_line = false);
/// The same for text that Python's json module may have written, which knows numbers that JSON does not: a bare NaN,
/// Infinity or -Infinity, and what is beyond a double. Each is read as transformers 5 writes it, {"__float__": "NaN"}.
/// Objects keep the order of their keys.
[[nodiscard]] nlohmann::ordered_json parse_python_json(std::string_view text, const std::string& who);
/// The same of one object: throws for every other value.
[[nodiscard]] nlohmann::ordered_json parse_python_object(std::string_view text, const std::string& who);
/// What the JSON library says of a failure, without its name for it.
[[nodiscard]] std::string json_reason(const std::exception& failure);
/// A file of a model's folder, which Python may have written (see parse_python_json); `what` says what it should be,
/// for example "a model's config.json".
[[nodiscard]] nlohmann::json read_json_file(const std::filesystem::path& file, std::string_view what);

/// The key under which parse_python_json has the name of a number that JSON has no word for.
inline constexpr const char* kFloatTag = "__float__";

}  // namespace qad
