// Reads YAML into nodes, and files together with what they import. The only door to the YAML library is yaml_tree.cpp.
//
// What is read is YAML 1.2 less what makes a file say other than it seems to: a duplicate key, a merge key `<<`, a tag
// and a key that is no scalar are errors. Anchors and aliases are fine.
//
// A file may begin with `imports: [presets/nvfp4_w4a4, …]`. A name is looked for in the importing file's folder, then
// in the recipes folder; ".yaml" may be left out. A later import wins over an earlier one, the file itself over its
// imports:
//   map over map         merged key by key
//   anything else        replaced, lists too; `key: null` takes an imported value away
//   `key+: [a, b]`       appended to the list that the imports gave (an empty one, if none)
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "qad/recipe/yaml_node.h"

namespace qad {

/// `file` is what positions will say. Throws Error (usage) where the text is no YAML at all; the rest is reported.
[[nodiscard]] YamlNode parse_yaml(std::string_view text, const std::string& file, YamlProblems& problems);

/// The file with its imports merged in and the key `imports` gone. A missing import, a cycle (with its chain) and
/// whatever parse_yaml refuses are reported. Throws Error (usage) when `file` itself can't be read.
[[nodiscard]] YamlNode load_yaml(const std::filesystem::path& file, const std::filesystem::path& recipes_folder,
                                 YamlProblems& problems);

/// Lays `over` on `base` by the rules above.
void merge_yaml(YamlNode& base, const YamlNode& over, YamlProblems& problems);

/// A command line's `a.b=value` or `a.b+=[…]` as a tree to merge: the value is YAML (`[a, b]`, `{x: 1}`, `"text"`,
/// 1e-4). Positions say `where`, or `command line: "a.b=value"` when it has no file.
[[nodiscard]] YamlNode parse_override(std::string_view text, const YamlPosition& where, YamlProblems& problems);

}  // namespace qad
