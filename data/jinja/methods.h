// Methods of Python's types. All throw Failure for what they can't do.
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/arguments.h"
#include "data/jinja/value.h"

namespace qad::jinja {

/// Whether the value's type has such a method: a word of its own, not a key.
[[nodiscard]] bool has_method(const Value& value, std::string_view name);
[[nodiscard]] Value call_method(const Value& value, const std::string& name, const Arguments& arguments,
                                Budget& budget);

// Of texts, in text_methods.cpp.
[[nodiscard]] bool has_text_method(std::string_view name);
[[nodiscard]] Value call_text_method(const Value& value, const std::string& name, const Arguments& arguments,
                                     Budget& budget);

}  // namespace qad::jinja
