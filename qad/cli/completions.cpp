#include "qad/cli/completions.h"

namespace qad::cli {

std::string completions(Shell shell, const std::vector<VerbDescription>& verbs) {
  switch (shell) {
    case Shell::bash: return bash_completions(verbs);
    case Shell::zsh: return zsh_completions(verbs);
    case Shell::fish: return fish_completions(verbs);
  }
  return "";
}

}  // namespace qad::cli
