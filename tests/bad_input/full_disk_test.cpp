// A disk that fills up in the middle of a run, and a limit on file sizes: one line, exit code 1, what was saved is
// whole, and once there is room qad resume ends as if nothing had been.
#include "qad/checkpoint/checkpoint_folder.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/same_run.h"
#include "tests/support/small_disk.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

void expect_one_line(const Outcome& outcome, const std::string& words) {
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_EQ(outcome.err.find("qad: "), 0U) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
}

void expect_no_leftovers(const fs::path& folder) {
  for (const auto& [name, contents] : testing::contents_of(folder))
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
}

void expect_resumed_as(const fs::path& run, const fs::path& undisturbed) {
  const Outcome resumed = Workplace::start({"resume", run.string()});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  testing::expect_same_run(undisturbed, run);
}

TEST(FullDisk, FilesMayNotGrowAsLargeAsACheckpoint) {
  const Workplace work;
  const fs::path recipe = work.recipe();
  work.run(recipe, "undisturbed");
  // best.h5 has no optimizer in it and fits, the first step file does not.
  const std::string best_fits = std::to_string(fs::file_size(work.path("undisturbed/checkpoints/best.h5")) / 512 + 8);
  Arguments shell = {"-c", "ulimit -f " + best_fits + " && exec \"$0\" \"$@\"", QAD_PROGRAM};
  Arguments program = Workplace::run_arguments(recipe, work.at("run"), {"--quiet", "--threads", "1"});
  shell.insert(shell.end(), program.begin(), program.end());
  expect_one_line(testing::Process(shell, {}, "/bin/sh").wait(), work.at("run/checkpoints/step-00000000.h5"));
  expect_no_leftovers(work.path("run"));
  const CheckpointFolder checkpoints(work.path("run/checkpoints"), 2);
  EXPECT_TRUE(checkpoints.files().empty());
  EXPECT_TRUE(checkpoints.best());
  expect_resumed_as(work.path("run"), work.path("undisturbed"));
}

TEST(FullDisk, FillsUpInTheMiddleOfARun) {
  const Workplace work;
  const fs::path recipe = work.recipe("checkpoint: {every: 1, keep: 100}\n");
  const Arguments steps = {"train.steps=8"};
  work.run(recipe, "undisturbed", steps);
  const auto bytes = fs::file_size(work.path("undisturbed/checkpoints/step-00000004.h5"));
  const testing::SmallDisk disk(work.path("disk"), std::to_string(5 * bytes));  // best.h5 and four
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small disk";

  const Outcome outcome = Workplace::start(Workplace::run_arguments(recipe, work.at("disk/run"), steps));
  expect_one_line(outcome, "(free some space and resume)");
  expect_no_leftovers(work.path("disk/run"));
  const std::vector<fs::path> saved = CheckpointFolder(work.path("disk/run/checkpoints"), 100).files();
  EXPECT_GE(saved.size(), 2U);
  EXPECT_LT(saved.size(), 9U);
  for (const fs::path& file : saved) EXPECT_NO_THROW(static_cast<void>(load_checkpoint(file))) << file;

  disk.grow("64m");
  expect_resumed_as(work.path("disk/run"), work.path("undisturbed"));
}

TEST(FullDisk, HasNoRoomForMomentsInAFile) {
  const Workplace work;
  const testing::SmallDisk disk(work.path("disk"), "256k");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small disk";
  const Outcome outcome =
      Workplace::start(Workplace::run_arguments(work.recipe(), work.at("disk/run"), {"train.adamw.moments_in=file"}));
  expect_one_line(outcome, "of room for AdamW's moments (train.adamw.moments_in: file), got No space left on device");
}

}  // namespace
}  // namespace qad
