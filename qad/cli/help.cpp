#include <filesystem>
#include <iostream>
#include <optional>

#include "autograd/base/atomic_file.h"
#include "qad/cli/completions.h"
#include "qad/cli/man_pages.h"
#include "qad/cli/verbs.h"

namespace qad::cli {
namespace {

void write_man_pages(const std::filesystem::path& folder) {
  const std::vector<VerbDescription> described = describe_verbs();
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "qad.1", main_man_page(described));
  for (const VerbDescription& verb : described)
    write_file_atomically(folder / ("qad-" + verb.name + ".1"), man_page(verb));
}

}  // namespace

ExitCode help_verb(CommandLine& line) {
  std::string verb;
  std::optional<std::filesystem::path> man;
  std::optional<Shell> shell;
  line.optional("VERB", "the verb to tell of (default: all, a line each)", verb)
      .option("man", "DIR", "write the man pages there instead", man)
      .option("completions", "bash|zsh|fish", "print what this shell needs to complete qad's command lines", shell);
  if (!line.parse()) return ExitCode::done;
  if (man) write_man_pages(*man);
  if (shell) std::cout << completions(*shell, describe_verbs());
  if (man || shell) return ExitCode::done;
  if (!verb.empty()) return call_verb(verb_named(verb), {"--help"});
  std::cout << usage_text();
  return ExitCode::done;
}

}  // namespace qad::cli
