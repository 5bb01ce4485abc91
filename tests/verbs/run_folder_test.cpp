// A run's folder is read from any working directory, and after it was moved.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "qad/verbs/eval.h"
#include "qad/verbs/export.h"
#include "qad/verbs/generate.h"
#include "qad/verbs/resume.h"
#include "qad/verbs/run.h"
#include "tests/support/error_of.h"
#include "tests/verbs/tiny_run.h"

namespace qad::verbs {
namespace {

namespace fs = std::filesystem;

// While it lives, relative paths begin in `folder`.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& folder) { fs::current_path(folder); }
  ~WorkingDirectory() { fs::current_path(before_); }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

 private:
  fs::path before_ = fs::current_path();
};

TEST(RunFolder, IsReadFromAnywhereAndMayBeMoved) {
  const testing::TinyRun work;
  const fs::path recipe = work.recipe();
  std::ostringstream out;
  {
    const WorkingDirectory here(work.path(""));
    const std::vector<std::string> relative = {"teacher.model=teacher", "data.train.text=text.txt",
                                               "data.eval.text=text.txt", "train.steps=1"};
    EXPECT_EQ(run({recipe, relative, "run"}, out), ExitCode::done);
  }
  fs::remove(work.path("run/summary.json"));
  EXPECT_EQ(resume({work.path("run")}, out), ExitCode::done);
  EXPECT_TRUE(fs::exists(work.path("run/summary.json")));

  fs::create_directories(work.path("elsewhere"));
  fs::rename(work.path("run"), work.path("elsewhere/moved"));
  fs::remove(work.path("elsewhere/moved/summary.json"));
  const WorkingDirectory there(work.path("elsewhere"));
  EXPECT_EQ(resume({"moved"}, out), ExitCode::done);
  EvalOptions evaluation;
  evaluation.target = "moved";
  EXPECT_EQ(eval(evaluation, out), ExitCode::done);
  ExportOptions dense;
  dense.run = "moved", dense.format = "dense", dense.out = "dense";
  EXPECT_EQ(export_model(dense, out), ExitCode::done);
  GenerateOptions words;
  words.target = "moved", words.prompt = "Story", words.max_tokens = 2;
  EXPECT_EQ(generate(words, out), ExitCode::done);
}

TEST(RunFolder, IsEvaluatedOnOtherHeldOutText) {
  const testing::TinyRun work;
  std::ostringstream made;
  ASSERT_EQ(run({work.recipe(), {"train.steps=1"}, work.path("run")}, made), ExitCode::done);
  EvalOptions options;
  options.target = work.path("run"), options.json = true;
  const auto tokens = [&](std::vector<std::string> overrides) {
    options.overrides = std::move(overrides);
    std::ostringstream out;
    EXPECT_EQ(eval(options, out), ExitCode::done);
    return nlohmann::json::parse(out.str()).at("tokens").get<int>();
  };
  const int all = tokens({});
  EXPECT_NEAR(tokens({"data.eval.tokens=" + std::to_string(all / 2)}), all / 2, 64);  // a sequence more or less
  options.overrides = {"train.steps=2"};
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(eval(options, made)); }),
                           {"train.steps=2", "keys of the held-out text"});
  options.target = work.path("teacher"), options.overrides = {"data.eval.tokens=9"},
  options.data = work.path("text.txt");
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(eval(options, made)); }), {"a run's folder"});
}

}  // namespace
}  // namespace qad::verbs
