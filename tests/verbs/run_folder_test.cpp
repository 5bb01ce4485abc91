// A run's folder is read from any working directory, and after it was moved.
#include <gtest/gtest.h>

#include <sstream>

#include "qad/verbs/eval.h"
#include "qad/verbs/export.h"
#include "qad/verbs/generate.h"
#include "qad/verbs/resume.h"
#include "qad/verbs/run.h"
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

}  // namespace
}  // namespace qad::verbs
