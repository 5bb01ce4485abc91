// A workplace with a tiny teacher, text and recipes, and the one way in which the program may refuse: the exit code,
// one line on stderr, nothing on stdout, and every file and folder as it was.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "data/files/hash.h"
#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad::testing {

inline constexpr ExitCode kFailed = ExitCode::failed, kUsage = ExitCode::usage;

/// Every file and folder below a folder with a hash of what is in it; logs may grow and are left out.
inline std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().filename() != "log.txt")
      contents[entry.path().string()] = entry.is_regular_file() ? hex(hash64(read_file(entry.path(), ""))) : "a folder";
  return contents;
}

class Workplace : public TinyRun {
 public:
  using TinyRun::TinyRun;

  [[nodiscard]] std::string at(const std::string& name) const { return path(name).string(); }
  std::string write(const std::string& name, std::string_view contents) const {
    write_file_atomically(path(name), contents);
    return at(name);
  }
  /// One thread: nothing here is big, and many such tests may run at once.
  [[nodiscard]] static Outcome start(Arguments arguments) {
    if (!arguments.empty()) arguments.insert(arguments.begin() + 1, {"--quiet", "--threads", "1"});
    return run_program(arguments);
  }
  /// Runs `qad run RECIPE OVERRIDES… --out out`, which must work.
  void run(const std::filesystem::path& recipe, const std::string& out, const Arguments& overrides = {}) const {
    const Outcome outcome = start(run_arguments(recipe, at(out), overrides));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  [[nodiscard]] static Arguments run_arguments(const std::filesystem::path& recipe, const std::string& out,
                                               const Arguments& overrides = {}) {
    Arguments arguments = {"run", recipe.string()};
    arguments.insert(arguments.end(), overrides.begin(), overrides.end());
    arguments.insert(arguments.end(), {"--out", out});
    return arguments;
  }

  /// `words` must all be in the one line.
  void refused(const Arguments& arguments, ExitCode code, const std::vector<std::string>& words) const {
    const auto before = contents_of(path(""));
    const Outcome outcome = start(arguments);
    const std::string command = arguments.empty() ? "qad" : "qad " + arguments.front();
    EXPECT_EQ(outcome.signal, 0) << command;
    EXPECT_EQ(outcome.exit_code, static_cast<int>(code)) << command << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << command;
    EXPECT_EQ(outcome.err.find("qad: "), 0U) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& word : words)
      EXPECT_NE(outcome.err.find(word), std::string::npos) << word << "\n" << outcome.err;
    EXPECT_EQ(contents_of(path("")), before) << command << " changed something\n" << outcome.err;
  }
  /// `qad run` of the tiny recipe with overrides.
  void run_refused(const Arguments& overrides, ExitCode code, const std::vector<std::string>& words) const {
    refused(run_arguments(recipe(), at("out"), overrides), code, words);
  }
};

}  // namespace qad::testing
