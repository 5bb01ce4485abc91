// The `qad` program: finds the verb, and is the only place that turns errors into a line on stderr and an exit code.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "autograd/core/error.h"
#include "autograd/core/interrupt.h"
#include "autograd/core/version.h"
#include "qad/cli/verbs.h"
#include "qad/recipe/nearest_name.h"

namespace qad::cli {
namespace {

std::string help_text() {
  std::string text = "usage: qad VERB … (qad VERB --help tells more)\n\nverbs:\n";
  for (const Verb& verb : verbs()) text += fmt::format("  {:<10} {}\n", verb.name, verb.summary);
  return text +
         "\nexit codes: 0 done, 1 failed, 2 bad usage or recipe, 3 stopped by a signal, with all that was done saved\n";
}

ExitCode dispatch(Arguments arguments) {
  if (arguments.empty()) throw Error({"no verb given", "", "", "see qad --help"}, ExitCode::usage);
  const std::string name = arguments.front();
  if (name == "--help" || name == "-h") {
    std::cout << help_text();
    return ExitCode::done;
  }
  if (name == "--version") {
    std::cout << "qad " << kVersion << "\n";
    return ExitCode::done;
  }
  arguments.erase(arguments.begin());
  std::vector<std::string_view> known;
  for (const Verb& verb : verbs()) {
    if (verb.name == name) return verb.run(verb, std::move(arguments));
    known.push_back(verb.name);
  }
  throw Error({fmt::format("unknown verb \"{}\"", name), "", "", name_hint(name, known)}, ExitCode::usage);
}

int report(std::string_view message, ExitCode code) {
  fmt::print(stderr, "qad: {}\n", message);
  return static_cast<int>(code);
}

int guarded_main(int argc, char** argv) {
  try {
    install_stop_signals();
    const ExitCode code = dispatch(Arguments(argv + 1, argv + argc));
    if (!std::cout.flush()) return report("standard output: can't be written to", ExitCode::failed);
    return static_cast<int>(code);
  } catch (const Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of memory (`qad plan` predicts what a recipe takes)", ExitCode::failed);
  } catch (const std::exception& error) {
    return report(error.what(), ExitCode::failed);
  }
}

}  // namespace
}  // namespace qad::cli

int main(int argc, char** argv) { return qad::cli::guarded_main(argc, argv); }
