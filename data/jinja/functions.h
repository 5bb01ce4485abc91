// The functions of a template's environment: Jinja's own and those that Hugging Face adds.
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/arguments.h"
#include "data/jinja/value.h"

namespace qad::jinja {

[[nodiscard]] bool is_function(std::string_view name);
[[nodiscard]] std::string function_names();
/// `date` is YYYY-MM-DD, for strftime_now. Throws Failure; raise_exception with the template's words.
[[nodiscard]] Value call_function(const std::string& name, const Arguments& arguments, const std::string& date,
                                  Budget& budget);

}  // namespace qad::jinja
