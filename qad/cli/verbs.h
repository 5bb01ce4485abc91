// The verbs of `qad`: one file each says which arguments there are and calls the function in qad/verbs that does the
// work.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/core/error.h"

namespace qad::cli {

using Arguments = std::vector<std::string>;

struct Verb {
  std::string_view name;
  std::string_view summary;  ///< one line
  ExitCode (*run)(const Verb& self, Arguments arguments);
};

/// In the order of `qad --help`.
[[nodiscard]] std::span<const Verb> verbs();

ExitCode run_verb(const Verb& self, Arguments arguments);
ExitCode resume_verb(const Verb& self, Arguments arguments);
ExitCode compare_verb(const Verb& self, Arguments arguments);
ExitCode eval_verb(const Verb& self, Arguments arguments);
ExitCode export_verb(const Verb& self, Arguments arguments);
ExitCode inspect_verb(const Verb& self, Arguments arguments);
ExitCode plan_verb(const Verb& self, Arguments arguments);
ExitCode recipes_verb(const Verb& self, Arguments arguments);
ExitCode generate_verb(const Verb& self, Arguments arguments);
ExitCode import_verb(const Verb& self, Arguments arguments);

}  // namespace qad::cli
