#include "tests/support/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "autograd/base/atomic_file.h"

namespace qad::testing {
namespace {

std::vector<std::string> variables(const Environment& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    if (!added.contains(variable.substr(0, variable.find('=')))) result.push_back(variable);
  }
  for (const auto& [name, value] : added) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

// posix_spawn and not fork: a test program has OpenMP threads.
Process::Process(const Arguments& arguments, const Environment& environment, const std::string& program)
    : arguments_(arguments) {
  arguments_.insert(arguments_.begin(), program);
  std::vector<std::string> variable_strings = variables(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, QAD_SOURCE_DIR);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, (folder_ / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (folder_ / "err").c_str(), O_WRONLY | O_CREAT, 0600);
  const int error = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, pointers(arguments_).data(),
                                  pointers(variable_strings).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    ended_ = true;
    ADD_FAILURE() << program << " can't be started: error " << error;
  }
}

Process::~Process() {
  if (!running()) return;
  send(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::running() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

void Process::send(int signal) {
  if (running()) ::kill(pid_, signal);
}

Outcome Process::wait(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (running()) {
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "still running after " << limit.count() << " s: " << arguments_.at(1);
      send(SIGKILL);
      ::waitpid(pid_, &status_, 0);
      ended_ = true;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Outcome outcome;
  if (WIFEXITED(status_)) outcome.exit_code = WEXITSTATUS(status_);
  else if (WIFSIGNALED(status_)) outcome.signal = WTERMSIG(status_);
  outcome.out = read_file(folder_ / "out", "what the program printed");
  outcome.err = read_file(folder_ / "err", "what the program said");
  return outcome;
}

Outcome run_program(const Arguments& arguments, const Environment& environment, std::chrono::seconds limit) {
  return Process(arguments, environment).wait(limit);
}

}  // namespace qad::testing
