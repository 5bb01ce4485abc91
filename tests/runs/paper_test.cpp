// The paper's comparison on the committed teacher, with small counts: it runs, it shows the direction, it repeats.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "qad/report/summary.h"
#include "tests/runs/program_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

RunSummary compared(const fs::path& run, const testing::Arguments& more) {
  testing::Arguments arguments = {"compare",
                                  (testing::source_dir() / "recipes/paper/quick.yaml").string(),
                                  "--out",
                                  run.string(),
                                  "teacher.model=" + (testing::source_dir() / "recipes/paper/model").string(),
                                  "train.steps=30",
                                  "train.warmup_steps=5",
                                  "evaluate.problems.count=20",
                                  "data.train.problems.documents=2000",
                                  "data.eval.problems.documents=100"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  testing::expect_done(testing::run_program(arguments, testing::run_environment()));
  return read_summary(run / "summary.json");
}

TEST(PaperComparison, ShowsTheDirectionAndRepeats) {
  const testing::TemporaryFolder folder;
  const RunSummary first = compared(folder / "first", {});
  ASSERT_EQ(first.arms.size(), 4u);
  const ArmSummary &bf16 = first.arms[0], &ptq = first.arms[1], &qat = first.arms[2], &qad = first.arms[3];
  EXPECT_LT(qad.eval.kl_mean, 0.8 * ptq.eval.kl_mean);
  EXPECT_LT(qad.eval.kl_mean, qat.eval.kl_mean);
  EXPECT_GT(bf16.problems.mean.exact_match, 0.5);
  for (const ArmSummary& arm : first.arms) {
    SCOPED_TRACE(arm.name);
    ASSERT_EQ(arm.problems.families.size(), 4u);
    EXPECT_EQ(arm.problems.mean.problems, 80);
    EXPECT_GT(arm.problems.mean.exact_match, 0.1);
    EXPECT_LE(arm.problems.mean.exact_match_low, arm.problems.mean.exact_match);
    EXPECT_GE(arm.problems.mean.exact_match_high, arm.problems.mean.exact_match);
  }

  const RunSummary second =
      compared(folder / "second", {"threads=1", "arms=[{name: ptq, kind: ptq}, {name: qad, kind: qad, lr: [1.0e-3]}]"});
  ASSERT_EQ(second.arms.size(), 3u);
  for (const auto& [again, before] : {std::pair{second.arms[0], bf16}, {second.arms[1], ptq}, {second.arms[2], qad}}) {
    SCOPED_TRACE(before.name);
    EXPECT_EQ(again.name, before.name);
    EXPECT_EQ(again.eval.kl_mean, before.eval.kl_mean);
    EXPECT_EQ(again.problems.mean.exact_match, before.problems.mean.exact_match);
  }
  EXPECT_EQ(read_file(folder / "second/arms/qad/answers.jsonl", "answers"),
            read_file(folder / "first/arms/qad/answers.jsonl", "answers"));
}

TEST(PaperComparison, SeedsBecomeOneRow) {
  const testing::TemporaryFolder folder;
  const RunSummary run = compared(folder / "run", {"seeds=[1, 2]", "train.steps=4", "train.warmup_steps=1",
                                                   "arms=[{name: ptq, kind: ptq}, {name: qad, kind: qad}]"});
  ASSERT_EQ(run.arms.size(), 3u);
  EXPECT_EQ(run.arms[1].folders, (std::vector<std::string>{"arms/ptq"}));
  EXPECT_EQ(run.arms[2].folders, (std::vector<std::string>{"arms/qad-seed1", "arms/qad-seed2"}));
  const RunSummary one = read_summary(folder / "run/arms/qad-seed1/summary.json"),
                   two = read_summary(folder / "run/arms/qad-seed2/summary.json");
  EXPECT_NE(one.eval.kl_mean, two.eval.kl_mean);
  EXPECT_DOUBLE_EQ(run.arms[2].eval.kl_mean, (one.eval.kl_mean + two.eval.kl_mean) / 2);
  EXPECT_DOUBLE_EQ(run.arms[2].problems.mean.exact_match,
                   (one.problems.mean.exact_match + two.problems.mean.exact_match) / 2);
  EXPECT_FALSE(run.exports.empty());
}

}  // namespace
}  // namespace qad
