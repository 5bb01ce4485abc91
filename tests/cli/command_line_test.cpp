// The program as a user meets it: what it prints where, and with which exit code it leaves.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "autograd/base/version.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

struct ShellOutcome {
  int code;
  std::string out, err;
};

ShellOutcome qad(const std::string& arguments) {
  const testing::TemporaryFolder folder;
  const auto run = [&](const std::string& redirection, std::string& text) {
    FILE* pipe = ::popen((std::string(QAD_PROGRAM) + " " + arguments + " " + redirection).c_str(), "r");
    std::array<char, 4096> buffer;
    for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), n);
    return WEXITSTATUS(::pclose(pipe));
  };
  ShellOutcome outcome;
  outcome.code = run("2>" + (folder / "err").string(), outcome.out);
  FILE* file = std::fopen((folder / "err").c_str(), "r");
  std::array<char, 4096> buffer;
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), file)) > 0;)
    outcome.err.append(buffer.data(), n);
  std::fclose(file);
  return outcome;
}

TEST(CommandLine, HelpAndVersionGoToStandardOutput) {
  const ShellOutcome help = qad("--help");
  EXPECT_EQ(help.code, 0);
  EXPECT_TRUE(help.err.empty());
  for (const char* verb : {"run", "resume", "compare", "eval", "export", "inspect", "plan", "recipes", "generate",
                           "import", "help", "version"}) {
    EXPECT_NE(help.out.find(std::string("\n  ") + verb + " "), std::string::npos) << verb;
    const ShellOutcome own = qad(std::string(verb) + " --help");
    EXPECT_EQ(own.code, 0) << verb;
    EXPECT_EQ(own.out.rfind(std::string("usage: qad ") + verb, 0), 0u) << own.out;
    EXPECT_EQ(qad(std::string("help ") + verb).out, own.out) << verb;
  }
  EXPECT_EQ(qad("help").out, help.out);
  EXPECT_EQ(qad("-h").out, help.out);
  for (const char* asks : {"version", "--version", "-V"}) {
    const ShellOutcome version = qad(asks);
    EXPECT_EQ(version.code, 0) << asks;
    EXPECT_EQ(version.out, "qad " + std::string(kVersion) + "\n") << asks;
    EXPECT_EQ(version.err, "") << asks;
  }
}

TEST(CommandLine, ByItselfItPrintsTheUsage) {
  const ShellOutcome bare = qad("");
  EXPECT_EQ(bare.code, 2);
  EXPECT_EQ(bare.out, qad("help").out);
  EXPECT_EQ(bare.out.rfind("usage: qad VERB", 0), 0u) << bare.out;
  EXPECT_EQ(bare.err, "");
}

TEST(CommandLine, MistakesGetOneLineAndTwo) {
  const auto expect = [](const std::string& arguments, const std::string& message) {
    const ShellOutcome outcome = qad(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments;
    EXPECT_EQ(outcome.err, "qad: " + message + "\n");
    EXPECT_TRUE(outcome.out.empty()) << outcome.out;
  };
  expect("rnu", "unknown verb \"rnu\" (did you mean \"run\"?)");
  expect("--threads 2 run", "unknown verb \"--threads\" (options stand behind the verb)");
  expect("run", "run: expected an option --out, got none (usage: qad run RECIPE [key.path=value ...] --out DIR)");
  expect("run r.yaml --ou d", "run: unknown option --ou (did you mean --out?)");
  expect("run r.yaml lr --out d",
         "run: expected key.path=value, got \"lr\" (usage: qad run RECIPE [key.path=value ...] --out DIR)");
  expect("run absent.yaml --out d", "absent.yaml: expected a recipe, got nothing there (see qad recipes list)");
  expect("run stories/qda --out d",
         "stories/qda: expected a recipe, got nothing there (did you mean \"stories/qad\"?)");
  expect("help rnu", "unknown verb \"rnu\" (did you mean \"run\"?)");
  expect("help run eval", "help: one argument too many: \"eval\" (usage: qad help [VERB])");
  expect("eval d --tokens -3", "--tokens: expected an integer that is not negative, got \"-3\"");
  expect("eval d --checkpoint lst", "--checkpoint: expected best | last, got \"lst\" (did you mean \"last\"?)");
  expect("inspect", "inspect: expected an argument FILE|RECIPE, got none (usage: qad inspect FILE|RECIPE)");
  expect("inspect a b", "inspect: one argument too many: \"b\" (usage: qad inspect FILE|RECIPE)");
  expect("recipes list all", "recipes list: one argument too many: \"all\"");
  const auto no_key = [&](const std::string& word, const std::string& ours) {
    expect("recipes explain " + word, "recipes explain: unknown key \"" + word + "\" (here that is " + ours + ")");
  };
  no_key("learning_rate", "train.lr");
  no_key("train.max_steps", "train.steps");
  no_key("optimizer.lr", "train.lr");
  no_key("output_dir", "--out DIR on the command line");
  expect("recipes check --json", "recipes check: --json is of recipes list");
  expect("recipes lst", "recipes: unknown action \"lst\" (did you mean \"list\"?)");
}

TEST(CommandLine, AFullDiskIsToldForStandardOutputToo) {
  const ShellOutcome outcome = qad("recipes explain > /dev/full");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "qad: standard output: can't be written to\n");
}

}  // namespace
}  // namespace qad
