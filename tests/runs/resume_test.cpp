// The real program, killed, stopped by signals and robbed of its newest checkpoint: resumed, it ends as the run that
// nothing happened to, bit for bit.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include "autograd/base/random.h"
#include "tests/runs/program_run.h"
#include "tests/support/same_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::Arguments;
using testing::Outcome;
using testing::Process;
using testing::TemporaryFolder;

constexpr std::int64_t kSmallSteps = 24;  // of small.yaml

class Disturbed : public ::testing::Test {
 protected:
  void SetUp() override { QAD_REQUIRE_SHARED_DATA(); }

  // The first start of the run, or a resume.
  [[nodiscard]] Process start(int threads) const {
    Arguments arguments =
        fs::exists(run_ / "recipe.yaml") ? Arguments{"resume", run_.string()} : testing::run_of("small.yaml", run_);
    arguments.insert(arguments.end(), {"--threads", std::to_string(threads)});
    return Process(arguments, testing::run_environment());
  }
  // Until metrics.jsonl has the record of this step (they begin with step 0).
  void wait_for_step(Process& process, std::int64_t step) const {
    while (process.running() && testing::lines_in(run_ / "metrics.jsonl") <= step)
      std::this_thread::sleep_for(milliseconds(1));
  }
  [[nodiscard]] std::vector<fs::path> checkpoints() const { return CheckpointFolder(run_ / "checkpoints", 1).files(); }
  void finish_and_compare(int threads) const {
    testing::expect_done(start(threads).wait());
    testing::expect_same_run(run_, testing::undisturbed_run());
    EXPECT_FALSE(testing::has_half_written(run_));
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
};

class Killed : public Disturbed, public ::testing::WithParamInterface<int> {};

TEST_P(Killed, TenTimesAtRandomMoments) {
  // The moments move on with the steps. One in three is the writing of a checkpoint; the others fall into steps, their
  // micro-batches and evaluations as chance will have it, the last ones into the export.
  Random random(11, static_cast<std::uint64_t>(GetParam()));
  int while_writing = 0;
  for (std::int64_t kill = 0; kill < 10; ++kill) {
    SCOPED_TRACE(kill);
    Process process = start(GetParam());
    wait_for_step(process, kill < 9 ? kSmallSteps * kill / 9 : kSmallSteps);
    if (kill % 3 == 2) {
      while (process.running() && !testing::has_half_written(run_)) std::this_thread::sleep_for(milliseconds(1));
      std::this_thread::sleep_for(milliseconds(random.below(10)));
    } else {
      std::this_thread::sleep_for(milliseconds(random.below(250)));
    }
    process.send(SIGKILL);
    const Outcome outcome = process.wait();
    if (outcome.signal == 0) testing::expect_done(outcome);  // it was faster than chance
    while_writing += testing::has_half_written(run_);
  }
  RecordProperty("killed_while_writing_a_checkpoint", while_writing);
  finish_and_compare(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Threads, Killed, ::testing::Values(1, 2));

TEST_F(Disturbed, SignalsSaveAndLeaveWithThree) {
  std::int64_t step = 2;
  for (const int signal : {SIGINT, SIGTERM, SIGTERM}) {
    SCOPED_TRACE(step);
    Process process = start(2);
    wait_for_step(process, step);
    process.send(signal);
    const Outcome outcome = process.wait();
    EXPECT_EQ(outcome.exit_code, 3) << outcome.signal << outcome.err;
    EXPECT_NE(outcome.out.find("qad resume"), std::string::npos) << outcome.out;
    ASSERT_FALSE(checkpoints().empty());
    EXPECT_FALSE(fs::exists(run_ / "summary.json"));
    step += 3;  // far enough from the last one, on any machine
  }
  finish_and_compare(1);
}

TEST_F(Disturbed, ADamagedCheckpointIsNamedAndAnOlderOneServes) {
  Process process = start(1);
  wait_for_step(process, 5);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 3);
  const fs::path whole = folder_ / "whole";
  fs::copy(run_, whole, fs::copy_options::recursive);

  const auto cut_off = [](const fs::path& file) { fs::resize_file(file, fs::file_size(file) * 2 / 3); };
  const auto flip_a_bit = [](const fs::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto place = static_cast<std::streamoff>(fs::file_size(file) / 2);
    stream.seekg(place);
    const char byte = static_cast<char>(stream.get());
    stream.seekp(place);
    stream.put(static_cast<char>(byte ^ 4));
  };
  for (const std::function<void(const fs::path&)>& damage :
       {std::function<void(const fs::path&)>(cut_off), std::function<void(const fs::path&)>(flip_a_bit)}) {
    fs::remove_all(run_);
    fs::copy(whole, run_, fs::copy_options::recursive);
    const std::vector<fs::path> files = checkpoints();
    ASSERT_GE(files.size(), 2u);
    damage(files[0]);
    const Outcome outcome = start(1).wait();
    testing::expect_done(outcome);
    const std::size_t named = outcome.err.find(files[0].filename().string());
    EXPECT_NE(named, std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("goes on from " + files[1].string()), std::string::npos) << outcome.err;
    testing::expect_same_run(run_, testing::undisturbed_run());
  }
}

TEST_F(Disturbed, NoWholeCheckpointIsAnErrorThatChangesNothing) {
  // Of so many steps that it can't be done before the signal comes.
  Process process(testing::run_of("small.yaml", run_, {"train.steps=100000", "--threads", "1"}),
                  testing::run_environment());
  wait_for_step(process, 3);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 3);
  for (const fs::path& file : checkpoints()) fs::resize_file(file, 1000);
  const std::string metrics = testing::metrics_but_timings(run_ / "metrics.jsonl");
  const Outcome outcome = start(1).wait();
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("a whole checkpoint"), std::string::npos) << outcome.err;
  EXPECT_EQ(testing::metrics_but_timings(run_ / "metrics.jsonl"), metrics);
}

TEST_F(Disturbed, ACompleteRunStaysAsItIs) {
  fs::copy(testing::undisturbed_run(), run_, fs::copy_options::recursive);
  const auto written = fs::last_write_time(run_ / "summary.json");
  const Outcome outcome = start(1).wait();
  testing::expect_done(outcome);
  EXPECT_NE(outcome.out.find("complete already"), std::string::npos) << outcome.out;
  EXPECT_EQ(fs::last_write_time(run_ / "summary.json"), written);
}

}  // namespace
}  // namespace qad
