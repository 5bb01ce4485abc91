// One run, one process: whoever comes second is told who is there, and changes nothing; readers go on.
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::Arguments;
using testing::Outcome;
using testing::Process;
using testing::Workplace;

// Ends only when it is told to.
const Arguments kLong = {"train.steps=1000000", "checkpoint.every=3"};

class TwoProcesses : public ::testing::Test {
 protected:
  [[nodiscard]] static Arguments quiet(Arguments arguments) {
    arguments.insert(arguments.begin() + 1, {"--quiet", "--threads", "1"});
    return arguments;
  }
  [[nodiscard]] Arguments comparison() const {
    Arguments arguments = Workplace::run_arguments(work_.recipe("arms: [{name: a, kind: ptq}, {name: b, kind: qad}]\n"),
                                                   work_.at("cmp"), kLong);
    arguments.front() = "compare";
    arguments.insert(arguments.begin() + 2, "kind=compare");
    return quiet(arguments);
  }
  static void wait_for(Process& process, const fs::path& file) {
    while (process.running() && !fs::exists(file)) std::this_thread::sleep_for(milliseconds(5));
    ASSERT_TRUE(process.running()) << process.wait().err;
  }
  static void expect_told(const Outcome& outcome, const std::string& folder) {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    EXPECT_EQ(outcome.err.find("qad: " + folder + ": expected a folder that no other qad writes to, got process "), 0u)
        << outcome.err;
    EXPECT_NE(outcome.err.find(" on "), std::string::npos);
  }
  static void expect_stopped(Process& process) {
    process.send(SIGTERM);
    const Outcome outcome = process.wait();
    EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  }

  Workplace work_;
};

TEST_F(TwoProcesses, TheSecondIsRefusedAndTheFirstGoesOn) {
  Process first(quiet(Workplace::run_arguments(work_.recipe(), work_.at("run"), kLong)));
  wait_for(first, work_.path("run/checkpoints/best.h5"));
  fs::create_symlink("run", work_.path("link"));
  const std::string real = fs::canonical(work_.path("run")).string();
  expect_told(Workplace::start({"resume", work_.at("run")}), real);
  expect_told(Workplace::start({"resume", work_.at("link")}), real);
  expect_told(Workplace::start({"export", work_.at("run"), "--format", "dense", "--out", work_.at("run/mine")}), real);
  expect_told(Workplace::start({"eval", work_.at("run"), "--logits", work_.at("run/logits")}), real);
  const Outcome run = Workplace::start(Workplace::run_arguments(work_.recipe(), work_.at("run")));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("got a folder with a run"), std::string::npos) << run.err;
  EXPECT_TRUE(first.running());

  const Arguments inspect = {"inspect", work_.at("run")};  // of checkpoints that come and go
  const std::vector<Arguments> readers = {inspect,
                                          inspect,
                                          inspect,
                                          inspect,
                                          {"eval", work_.at("run")},
                                          {"generate", work_.at("run"), "--max-tokens", "2"},
                                          {"export", work_.at("run"), "--format", "dense", "--out", work_.at("out")}};
  for (const Arguments& reader : readers) {
    const Outcome outcome = Workplace::start(reader);
    EXPECT_EQ(outcome.exit_code, 0) << reader.front() << ": " << outcome.err;
  }
  expect_stopped(first);
  EXPECT_FALSE(fs::exists(work_.path("run/.qad_lock")));

  std::ifstream metrics(work_.path("run/metrics.jsonl"));
  std::int64_t before = -1;
  for (std::string line; std::getline(metrics, line);) {
    const std::int64_t step = std::stoll(line.substr(line.find(':') + 1));
    EXPECT_GT(step, before);
    before = step;
  }
}

TEST_F(TwoProcesses, AKilledOneIsNoHindrance) {
  Process first(quiet(Workplace::run_arguments(work_.recipe(), work_.at("run"), kLong)));
  wait_for(first, work_.path("run/checkpoints/step-00000003.h5"));
  first.send(SIGKILL);
  first.wait();
  const fs::path lock = work_.path("run/.qad_lock");
  const std::string owner = read_file(lock, "a lock");
  work_.write("run/metrics.jsonl.tmp.4711", "half");
  work_.write("run/metrics.jsonl.tmp.notes", "mine");
  Process second(quiet({"resume", work_.at("run")}));
  // Whoever has the lock obeys signals.
  while (second.running() && read_file(lock, "a lock") == owner) std::this_thread::sleep_for(milliseconds(5));
  expect_stopped(second);
  EXPECT_FALSE(fs::exists(work_.path("run/.qad_lock")));
  EXPECT_FALSE(fs::exists(work_.path("run/metrics.jsonl.tmp.4711")));
  EXPECT_TRUE(fs::exists(work_.path("run/metrics.jsonl.tmp.notes")));
}

TEST_F(TwoProcesses, OfManyStartsAtOnceExactlyOneGoesOn) {
  const Arguments start = quiet(Workplace::run_arguments(work_.recipe(), work_.at("new/run"), {"train.steps=40"}));
  std::vector<std::unique_ptr<Process>> processes;
  for (int i = 0; i < 4; ++i) processes.push_back(std::make_unique<Process>(start));
  int done = 0;
  for (auto& process : processes) {
    const Outcome outcome = process->wait();
    done += outcome.exit_code == 0;
    EXPECT_TRUE(outcome.exit_code == 0 || outcome.err.find("no other qad writes to") != std::string::npos ||
                outcome.err.find("a new or empty folder") != std::string::npos)
        << outcome.err;
  }
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(fs::exists(work_.path("new/run/report.html")));
}

TEST_F(TwoProcesses, ArmsBelongToTheirComparison) {
  Process first(comparison());
  wait_for(first, work_.path("cmp/arms/b/checkpoints/best.h5"));
  const std::string real = fs::canonical(work_.path("cmp")).string();
  for (const char* arm : {"cmp/arms/a", "cmp/arms/b"}) expect_told(Workplace::start({"resume", work_.at(arm)}), real);
  expect_told(Workplace::start(Workplace::run_arguments(work_.recipe(), work_.at("cmp/arms/c"))), real);
  EXPECT_FALSE(fs::exists(work_.path("cmp/arms/c")));
  expect_told(Workplace::start({"resume", work_.at("cmp")}), real);
  expect_stopped(first);

  // And the other way round: while an arm goes on alone, its comparison waits and the other arms don't.
  Process arm(quiet({"resume", work_.at("cmp/arms/b")}));
  wait_for(arm, work_.path("cmp/arms/b/.qad_lock"));
  expect_told(Workplace::start({"resume", work_.at("cmp")}), real);
  const Outcome other = Workplace::start({"resume", work_.at("cmp/arms/a")});
  EXPECT_EQ(other.exit_code, 0) << other.err;
  expect_stopped(arm);
  EXPECT_FALSE(fs::exists(work_.path("cmp/.qad_lock")));
}

}  // namespace
}  // namespace qad
