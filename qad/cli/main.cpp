// The `qad` program: finds the verb, and is the only place that turns errors into a line on stderr and an exit code.
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/ranks/communicator.h"
#include "autograd/ranks/launch.h"
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
  const Verb& verb = verb_named(name);
  if (!verb.is_for_ranks && !ranks().is_alone()) {  // the first does it, and others have nothing to do
    if (!ranks().is_first()) return ExitCode::done;
    static_cast<void>(qad::detail::work_alone(true));
  }
  return call_verb(verb, std::move(arguments));
}

struct Outcome {
  ExitCode code = ExitCode::done;
  std::string message = {};
};

Outcome guarded(int argc, char** argv) {
  try {
    install_stop_signals();
    start_ranks();
    const ExitCode code = dispatch({argv + 1, argv + argc});
    if (!std::cout.flush()) return {ExitCode::failed, "standard output: can't be written to"};
    return {code};
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::failed, "out of memory (`qad plan` predicts what a recipe takes)"};
  } catch (const std::exception& error) {
    return {ExitCode::failed, error.what()};
  }
}

}  // namespace
}  // namespace qad::cli

int main(int argc, char** argv) {
  const auto [code, message] = qad::cli::guarded(argc, argv);
  return static_cast<int>(qad::end_ranks(code, message));
}
