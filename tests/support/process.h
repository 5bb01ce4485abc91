// The real program in a process of its own: started, waited for, signalled and killed as a user or a machine would.
// It runs in the project's root, reads an empty input and writes to files, so that no pipe can fill up.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace qad::testing {

/// Variables that are set on top of this process's own.
using Environment = std::map<std::string, std::string>;
using Arguments = std::vector<std::string>;

struct Outcome {
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;      ///< 0 when it ended by itself
  std::string out, err;
};

/// `program ARGUMENTS…`, started at once. What still runs at the end of its life is killed.
class Process {
 public:
  explicit Process(const Arguments& arguments, const Environment& environment = {},
                   const std::string& program = QAD_PROGRAM);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] bool running();
  /// Sends a signal: SIGTERM, SIGKILL, … Nothing happens when it has ended.
  void send(int signal);
  /// Until it ends. One that takes longer than `limit` is killed and fails the test.
  Outcome wait(std::chrono::seconds limit = std::chrono::seconds(300));

 private:
  TemporaryFolder folder_;
  Arguments arguments_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

Outcome run_program(const Arguments& arguments, const Environment& environment = {},
                    std::chrono::seconds limit = std::chrono::seconds(300));

}  // namespace qad::testing
