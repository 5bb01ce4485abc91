// "Did you mean …?" for keys, option names, verbs and whatever else has a list of known names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qad {

/// The known name that takes the fewest edits (insert, drop, replace, swap neighbours) to reach, or an empty view when
/// even that one shares too little with `name`. The first of equals wins.
[[nodiscard]] std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

/// `did you mean "lr"?`, or `known: a, b, c` when nothing is near.
[[nodiscard]] std::string name_hint(std::string_view name, std::span<const std::string_view> known);

}  // namespace qad
