// The files that a recipe's names and patterns stand for.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

/// Files in the order of the list, those of a pattern by name (as bytes). In a pattern `*` and `?` stand for characters
/// of one name, `[…]` for one of several, `**` for any number of folders; names that begin with a dot must be named. A
/// name that is there as it is written is no pattern. Throws Error (usage) for an empty list, for a pattern that
/// matches no file, for a folder, and for a file that comes twice; a name without a pattern need not be there. `what`
/// says what each should be, for example "a text".
[[nodiscard]] std::vector<std::filesystem::path> expand_files(std::span<const std::string> names,
                                                              std::string_view what);

/// Whether a name has any of these characters, and whether there are files that it matches.
[[nodiscard]] bool has_pattern(const std::string& name);
[[nodiscard]] bool matches_files(const std::string& pattern);

/// What messages call these files: `a.txt`, or `a.txt and 3 more`.
[[nodiscard]] std::string name_of_files(std::span<const std::filesystem::path> files);

}  // namespace qad
