// A template's text as statements.
#pragma once

#include <string>
#include <string_view>

#include "data/jinja/syntax.h"

namespace qad::jinja {

/// `who` is the template's name in messages. Throws Error naming line and word for what is not Jinja, and for a tag,
/// filter or test that we don't have.
[[nodiscard]] Block parse_template(std::string_view source, const std::string& who);

}  // namespace qad::jinja
