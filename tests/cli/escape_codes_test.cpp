// No escape codes where they are not wanted: on a terminal with NO_COLOR and its like, and anywhere that is no
// terminal.
#include <gtest/gtest.h>

#include <string>

#include "autograd/base/atomic_file.h"
#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::Environment;

// All variables that have a say, emptied, and then `more`.
Environment plain(const Environment& more) {
  Environment environment = {
      {"NO_COLOR", ""}, {"CLICOLOR", ""}, {"CLICOLOR_FORCE", ""}, {"COLORTERM", ""}, {"TERM", "xterm"}};
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

class EscapeCodes : public ::testing::Test {
 protected:
  // What a run of a few steps writes to a terminal (script(1) is one), or to files.
  std::string written(const Environment& environment, bool on_terminal) {
    const std::string out = run_.path("run" + std::to_string(++runs_)).string();
    const std::string command =
        std::string(QAD_PROGRAM) + " run " + run_.recipe().string() + " -v --threads 1 --out " + out;
    const testing::Arguments arguments =
        on_terminal ? testing::Arguments{"-qec", command, "/dev/null"} : testing::Arguments{"-c", command};
    const testing::Outcome outcome =
        testing::Process(arguments, plain(environment), on_terminal ? "/usr/bin/script" : "/bin/sh").wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    const std::string log = read_file(out + "/log.txt", "a log");
    EXPECT_EQ(log.find('\x1b'), std::string::npos) << log;
    return outcome.out + outcome.err;
  }

  testing::TinyRun run_;
  int runs_ = 0;
};

TEST_F(EscapeCodes, AreForTerminalsThatWantThem) {
  EXPECT_NE(written({}, true).find("\x1b["), std::string::npos);
  for (const Environment& environment :
       {Environment{{"NO_COLOR", "1"}}, Environment{{"CLICOLOR", "0"}}, Environment{{"TERM", "dumb"}},
        Environment{{"TERM", ""}}, Environment{{"TERM", "dumb"}, {"COLORTERM", "truecolor"}},
        Environment{{"NO_COLOR", "1"}, {"CLICOLOR_FORCE", "1"}}}) {
    const std::string text = written(environment, true);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << environment.begin()->first << "\n" << text;
    EXPECT_NE(text.find("held-out KL"), std::string::npos) << text;
  }
}

TEST_F(EscapeCodes, AreNotForFiles) {
  for (const Environment& environment :
       {Environment{}, Environment{{"COLORTERM", "truecolor"}}, Environment{{"CLICOLOR", "1"}}})
    EXPECT_EQ(written(environment, false).find('\x1b'), std::string::npos);
  EXPECT_NE(written({{"CLICOLOR_FORCE", "1"}}, false).find("\x1b["), std::string::npos);
}

}  // namespace
}  // namespace qad
