// Upper and lower case and which characters Python prints, by tables of Unicode (letters_tables.inc, which
// scripts/make_letters_tables.py writes).
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

/// str.lower and so on. The letter sigma, whose lower case depends on where it stands, throws Failure.
void lower(std::string_view text, Writer& out);
void upper(std::string_view text, Writer& out);
void capitalize(std::string_view text, Writer& out);
void title(std::string_view text, Writer& out);
void swap_case(std::string_view text, Writer& out);

/// str.isprintable of one character.
[[nodiscard]] bool is_printable(char32_t c);

/// str.isdigit and so on, by the method's name. Throws Failure for text that is not ASCII, for which we have no tables.
[[nodiscard]] bool is_of_kind(std::string_view text, std::string_view method);

}  // namespace qad::jinja
