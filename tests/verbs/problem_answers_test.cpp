// evaluate.problems through the verbs: figures in summary and report, answers on disk, interrupted and gone on with.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "qad/report/problem_json.h"
#include "qad/report/summary.h"
#include "qad/verbs/compare.h"
#include "qad/verbs/eval.h"
#include "qad/verbs/resume.h"
#include "qad/verbs/run.h"
#include "tests/support/error_of.h"
#include "tests/support/same_run.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kProblems = {
    "evaluate.problems={count: 3, samples: 2, max_new_tokens: 6, families: [arithmetic, symbols]}"};

std::string compared(const testing::TinyRun& work, const fs::path& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> overrides = kProblems;
  overrides.push_back("kind=compare");
  overrides.push_back("arms=[{name: ptq, kind: ptq}, {name: qad, kind: qad}]");
  overrides.insert(overrides.end(), more.begin(), more.end());
  std::ostringstream print;
  EXPECT_EQ(verbs::compare({work.recipe(), overrides, out}, print), ExitCode::done);
  return print.str();
}

class ProblemAnswers : public ::testing::Test {
 protected:
  void TearDown() override { log_to_file({}); }
};

TEST_F(ProblemAnswers, OfTeacherAndArmsAndAgainAfterAStop) {
  const testing::TinyRun work;
  const fs::path out = work.path("compare");
  const std::string printed = compared(work, out);
  EXPECT_NE(printed.find("exact match in %, 6 problems; in brackets 95 % intervals over problems"), std::string::npos)
      << printed;
  const RunSummary summary = read_summary(out / "summary.json");
  ASSERT_EQ(summary.arms.size(), 3u);
  for (const ArmSummary& arm : summary.arms) {
    ASSERT_EQ(arm.problems.families.size(), 2u) << arm.name;
    EXPECT_EQ(arm.problems.families[1].name, "symbols");
    EXPECT_EQ(arm.problems.mean.problems, 6);
    EXPECT_EQ(std::isnan(arm.problems.mean.right_to_wrong), arm.name == "bf16");
  }
  EXPECT_EQ(read_answers(out / "answers.jsonl").size(), 6u);
  EXPECT_EQ(read_answers(out / "arms/qad/answers.jsonl").size(), 6u);
  EXPECT_NE(read_file(out / "report.html", "a report").find("Problems answered"), std::string::npos);

  // As a stop in the middle of an arm's answers leaves it.
  const std::string before = testing::summary_but_timings(out / "summary.json");
  const std::string answers = read_file(out / "arms/qad/answers.jsonl", "answers");
  for (const char* file : {"summary.json", "arms/qad/summary.json", "arms/qad/answers.jsonl"}) fs::remove(out / file);
  std::ostringstream print;
  EXPECT_EQ(verbs::resume({out}, print), ExitCode::done);
  EXPECT_EQ(testing::summary_but_timings(out / "summary.json"), before);
  EXPECT_EQ(read_file(out / "arms/qad/answers.jsonl", "answers"), answers);

  compared(work, work.path("threads"), {"threads=2"});
  EXPECT_EQ(read_file(work.path("threads/arms/qad/answers.jsonl"), "answers"), answers);
}

TEST_F(ProblemAnswers, ASignalLosesNothing) {
  const testing::TinyRun work;
  const fs::path out = work.path("run");
  std::ostringstream print;
  ASSERT_EQ(verbs::run({work.recipe(), kProblems, out}, print), ExitCode::done);
  const std::string before = testing::summary_but_timings(out / "summary.json");
  fs::remove(out / "summary.json");
  fs::remove(out / "answers.jsonl");
  request_stop();
  EXPECT_EQ(verbs::resume({out}, print), ExitCode::interrupted);
  request_stop(false);
  EXPECT_FALSE(fs::exists(out / "summary.json"));
  EXPECT_FALSE(fs::exists(out / "answers.jsonl"));
  EXPECT_EQ(verbs::resume({out}, print), ExitCode::done);
  EXPECT_EQ(testing::summary_but_timings(out / "summary.json"), before);

  // `qad eval` finds the same figures in the same checkpoint.
  std::ostringstream json;
  verbs::EvalOptions options;
  options.target = out;
  options.problems = 3;
  options.json = true;
  EXPECT_EQ(verbs::eval(options, json), ExitCode::done);
  const auto saved = nlohmann::json::parse(read_file(out / "summary.json", "a summary"));
  EXPECT_EQ(nlohmann::json::parse(json.str()), saved.at("problems"));
}

TEST_F(ProblemAnswers, OfAModelFolder) {
  const testing::TinyRun work;
  std::ostringstream print;
  verbs::EvalOptions options;
  options.target = work.teacher();
  options.teacher = work.teacher();
  options.problems = 1;
  EXPECT_EQ(verbs::eval(options, print), ExitCode::done);
  testing::expect_mentions(print.str(), {"exact match in %, 4 problems", "word_problems", "teacher", "right→wrong"});
  options.problems = 0;
  EXPECT_THROW(verbs::eval(options, print), Error);
}

}  // namespace
}  // namespace qad
