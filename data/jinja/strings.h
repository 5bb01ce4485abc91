// What Python's str does, on UTF-8: lengths, indices and slices count characters, white space is Unicode's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qad::jinja {

enum class Side { both, left, right };

/// Without the characters of `chars` at its ends; without `chars`, without white space.
[[nodiscard]] std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side);
/// At most `most` cuts (below 0: no limit); without a separator at stretches of white space. `separator` is not empty.
[[nodiscard]] std::vector<std::string> split(std::string_view text, std::optional<std::string_view> separator,
                                             std::int64_t most);
/// At most `most` replacements (below 0: no limit).
[[nodiscard]] std::string replaced(std::string_view text, std::string_view old, std::string_view with,
                                   std::int64_t most);
[[nodiscard]] std::vector<std::string> characters(std::string_view text);
[[nodiscard]] std::int64_t length(std::string_view text);

/// ASCII letters; the fold of others takes tables that we don't have, and throws Failure.
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] std::string upper(std::string_view text);
[[nodiscard]] std::string capitalize(std::string_view text);
[[nodiscard]] std::string title(std::string_view text);

/// repr(): in quotes, control characters escaped.
[[nodiscard]] std::string python_quoted(std::string_view text);
/// As json.dumps(…, ensure_ascii=False) writes it.
[[nodiscard]] std::string json_quoted(std::string_view text);
/// repr() of a float: the shortest digits that give it back.
[[nodiscard]] std::string shortest(double number);

}  // namespace qad::jinja
