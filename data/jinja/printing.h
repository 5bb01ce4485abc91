// str() and repr() of Python's values: what {{ }} prints. Throws Failure for what has no text of its own.
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/value.h"

namespace qad::jinja {

/// Nothing for what is undefined.
void print(const Value& value, Writer& out);
void print_repr(const Value& value, Writer& out);
[[nodiscard]] std::string printed(const Value& value, Budget& budget);
/// In quotes, with what can't be seen escaped; with `ascii` all but ASCII.
void print_quoted(std::string_view text, Writer& out, bool ascii = false);

}  // namespace qad::jinja
