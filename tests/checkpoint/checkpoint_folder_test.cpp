// Which checkpoints of a run stay, and which one a run goes on from.
#include "qad/checkpoint/checkpoint_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

CheckpointContent at_step(std::int64_t step) {
  CheckpointContent content;
  content.numbers["step"] = step;
  return content;
}

std::int64_t step_in(const CheckpointContent& content) { return std::get<std::int64_t>(content.numbers.at("step")); }

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

void cut(const fs::path& file) { fs::resize_file(file, fs::file_size(file) / 2); }

using Names = std::set<std::string>;

TEST(CheckpointFolder, KeepsTheNewestAndTheBest) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder / "checkpoints", 2);
  EXPECT_FALSE(checkpoints.newest_whole().has_value());
  EXPECT_FALSE(checkpoints.best().has_value());
  EXPECT_FALSE(fs::exists(folder / "checkpoints"));
  for (std::int64_t step = 0; step <= 400; step += 100) {
    EXPECT_EQ(checkpoints.save(step, at_step(step)).filename().string(),
              "step-00000" + std::string(step < 100 ? "00" : "") + std::to_string(step) + ".h5");
    if (step == 200) checkpoints.save_best(at_step(step));
  }
  EXPECT_EQ(names_in(folder / "checkpoints"), (Names{"best.h5", "step-00000300.h5", "step-00000400.h5"}));
  EXPECT_EQ(step_in(checkpoints.newest_whole()->content), 400);
  EXPECT_EQ(step_in(checkpoints.best()->content), 200);
  EXPECT_EQ(checkpoints.best()->file, folder / "checkpoints" / "best.h5");
}

// Another process's run removes what it needs no more; what goes while it is read is an Error that says so, nothing
// else.
TEST(CheckpointFolder, MayBeReadWhileOthersComeAndGo) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 1);
  checkpoints.save(0, at_step(0));
  std::atomic<bool> is_done = false;
  std::jthread reader([&] {
    std::int64_t before = 0;
    while (!is_done) {
      const auto newest = checkpoints.newest_whole();
      ASSERT_TRUE(newest.has_value());
      EXPECT_GE(step_in(newest->content), before);
      before = step_in(newest->content);
      for (const fs::path& file : checkpoints.files()) try {
          EXPECT_EQ("step-" + fmt::format("{:08}", step_in(load_checkpoint(file))) + ".h5", file.filename().string());
        } catch (const Error& error) {
          EXPECT_EQ(dynamic_cast<const DamagedCheckpoint*>(&error), nullptr) << error.what();
        }
    }
  });
  for (std::int64_t step = 1; step <= 400; ++step) checkpoints.save(step, at_step(step));
  is_done = true;
}

TEST(CheckpointFolder, GoesBackToTheNewestWholeOneAndWarns) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 3);
  for (const std::int64_t step : {100, 200, 300}) checkpoints.save(step, at_step(step));
  cut(folder / "step-00000300.h5");
  log_to_file(folder / "log.txt");
  EXPECT_EQ(checkpoints.newest_whole()->file, folder / "step-00000200.h5");
  log_to_file({});
  EXPECT_NE(read_file(folder / "log.txt", "").find("step-00000300.h5"), std::string::npos);

  // What is written next stays, however few are kept and however high the damaged one's number is.
  CheckpointFolder one(folder.path(), 1);
  one.save(250, at_step(250));
  EXPECT_EQ(one.newest_whole()->file, folder / "step-00000250.h5");
  one.save(300, at_step(300));
  EXPECT_EQ(names_in(folder.path()), (Names{"log.txt", "step-00000300.h5"}));
  EXPECT_EQ(step_in(one.newest_whole()->content), 300);
}

TEST(CheckpointFolder, NoWholeOneIsAnErrorAndNotABeginning) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  checkpoints.save(100, at_step(100));
  checkpoints.save_best(at_step(100));
  cut(folder / "step-00000100.h5");
  cut(folder / "best.h5");
  EXPECT_THROW(static_cast<void>(checkpoints.newest_whole()), Error);
  EXPECT_THROW(static_cast<void>(checkpoints.best()), DamagedCheckpoint);
}

TEST(CheckpointFolder, RemovesWhatAKilledProcessLeft) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "step-00000100.h5.tmp.4711", "half");
  write_file_atomically(folder / "best.h5.tmp.4711", "half");
  write_file_atomically(folder / "step-1x.h5", "someone else's");
  write_file_atomically(folder / "notes.txt", "someone else's");
  CheckpointFolder checkpoints(folder.path(), 1);
  EXPECT_TRUE(checkpoints.files().empty());
  checkpoints.save(100, at_step(100));
  EXPECT_EQ(names_in(folder.path()), (Names{"notes.txt", "step-00000100.h5", "step-1x.h5"}));
}

TEST(CheckpointFolder, NumbersCompareAsNumbers) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  checkpoints.save(99'999'999, at_step(99'999'999));
  checkpoints.save(100'000'000, at_step(100'000'000));
  EXPECT_EQ(step_in(checkpoints.newest_whole()->content), 100'000'000);
}

}  // namespace
}  // namespace qad
