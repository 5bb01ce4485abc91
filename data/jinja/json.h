// JSON of templates: conversations as values, and the filter tojson.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

/// Integers keep all their digits, and objects the order of their keys. Throws Error, naming `who`, for text that is
/// not JSON or nests deeper than values may.
[[nodiscard]] Value read_json(std::string_view text, const std::string& who);
/// JSON that was read already. Throws Failure where it nests deeper than values may.
[[nodiscard]] Value value_of(const nlohmann::ordered_json& json);

/// What json.dumps is told.
struct JsonStyle {
  bool ascii = false;    ///< ensure_ascii
  bool lines = false;    ///< an entry a line, indented by
  std::string indent{};  ///< this
  std::string between = ", ", after_key = ": ";
  bool sort_keys = false;
};
/// Throws Failure for values that JSON doesn't have.
void write_json(const Value& value, const JsonStyle& style, Writer& out);

}  // namespace qad::jinja
