// The verbs of `qad`: one file each says which arguments there are and calls the function in qad/verbs that does the
// work. The table is all that usage, help, man pages and completions know of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/error.h"
#include "qad/cli/command_line.h"

namespace qad::cli {

struct Verb {
  std::string_view name;
  std::string_view summary;  ///< one line
  ExitCode (*run)(CommandLine& line);
  bool is_for_ranks = false;  ///< several ranks (mpirun) share its work; else the first does all of it
};

/// In the order of `qad --help`.
[[nodiscard]] std::span<const Verb> verbs();

/// Throws Error (usage) for a name that is no verb's.
[[nodiscard]] const Verb& verb_named(const std::string& name);
ExitCode call_verb(const Verb& verb, std::vector<std::string> arguments);
/// What each verb takes; none is run.
[[nodiscard]] std::vector<VerbDescription> describe_verbs();

ExitCode run_verb(CommandLine& line);
ExitCode resume_verb(CommandLine& line);
ExitCode compare_verb(CommandLine& line);
ExitCode eval_verb(CommandLine& line);
ExitCode export_verb(CommandLine& line);
ExitCode quantize_verb(CommandLine& line);
ExitCode inspect_verb(CommandLine& line);
ExitCode plan_verb(CommandLine& line);
ExitCode recipes_verb(CommandLine& line);
ExitCode generate_verb(CommandLine& line);
ExitCode import_verb(CommandLine& line);
ExitCode help_verb(CommandLine& line);
ExitCode version_verb(CommandLine& line);

/// What a bare `qad` prints: the verbs, a line each, and the exit codes.
[[nodiscard]] std::string usage_text();

}  // namespace qad::cli
