// The `qad` program: finds the verb, and is the only place that turns errors into a line on stderr and an exit code.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "qad/cli/verbs.h"

namespace qad::cli {
namespace {

ExitCode dispatch(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    std::cout << usage_text();
    return ExitCode::usage;
  }
  std::string name = arguments.front();
  arguments.erase(arguments.begin());
  if (name == "--help" || name == "-h") name = "help";
  if (name == "--version" || name == "-V") name = "version";
  return call_verb(verb_named(name), std::move(arguments));
}

int report(std::string_view message, ExitCode code) {
  fmt::print(stderr, "qad: {}\n", message);
  return static_cast<int>(code);
}

int guarded_main(int argc, char** argv) {
  try {
    install_stop_signals();
    const ExitCode code = dispatch({argv + 1, argv + argc});
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
