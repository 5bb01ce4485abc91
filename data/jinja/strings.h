// What Python's str does, on UTF-8: lengths and indices count characters, white space is Unicode's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

enum class Side { both, left, right };

[[nodiscard]] inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// str.isspace of one character.
[[nodiscard]] bool is_space(char32_t c);
/// Without the characters of `chars` at its ends; without `chars`, without white space.
[[nodiscard]] std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side);

/// Where `part` is in `text`, from the left or, by its last place, from the right; npos without one. In time that is
/// linear in both, which std::string's own is not.
[[nodiscard]] std::size_t find_text(std::string_view text, std::string_view part, Budget& budget);
[[nodiscard]] std::size_t find_last(std::string_view text, std::string_view part, Budget& budget);
/// How often, without overlaps, which of an empty part is once more than there are characters.
[[nodiscard]] std::int64_t count_text(std::string_view text, std::string_view part, Budget& budget);

using Visit = std::function<void(std::string_view)>;
/// Visits the parts, at most `most` cuts (below 0: no limit) made from `side`, left or right, in the order in which
/// they are cut off; without a separator at stretches of white space. `separator` is not empty.
void split(std::string_view text, std::optional<std::string_view> separator, std::int64_t most, Side side,
           Budget& budget, const Visit& visit);
/// The lines, with or without their ends, of which Python knows ten.
void split_lines(std::string_view text, bool keep_ends, const Visit& visit);

/// At most `most` replacements (below 0: no limit); an empty `old` stands between all characters.
void replace_text(std::string_view text, std::string_view old, std::string_view with, std::int64_t most, Writer& out);

[[nodiscard]] std::int64_t length(std::string_view text);
/// Where in bytes the character with this index begins; the size for one beyond the end.
[[nodiscard]] std::size_t byte_of(std::string_view text, std::size_t character);

/// & < > ' " as HTML has them.
void escape_html(std::string_view text, Writer& out);

}  // namespace qad::jinja
