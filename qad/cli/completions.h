// Scripts that have a shell complete verbs, options, their words, files and the names of recipes. Made of the verb
// table; names of recipes come from `qad recipes list` when they are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "qad/cli/verb_description.h"

namespace qad::cli {

enum class Shell : std::uint8_t { bash, zsh, fish };
inline constexpr auto enum_names(Shell) {
  return std::to_array<EnumName<Shell>>({{Shell::bash, "bash"}, {Shell::zsh, "zsh"}, {Shell::fish, "fish"}});
}

[[nodiscard]] std::string completions(Shell shell, const std::vector<VerbDescription>& verbs);

[[nodiscard]] std::string bash_completions(const std::vector<VerbDescription>& verbs);
[[nodiscard]] std::string zsh_completions(const std::vector<VerbDescription>& verbs);
[[nodiscard]] std::string fish_completions(const std::vector<VerbDescription>& verbs);

}  // namespace qad::cli
