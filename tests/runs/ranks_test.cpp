// The real program as several ranks under mpirun: the same bits as one, whatever happens to it on the way, and one
// message where something is wrong.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/runs/program_run.h"
#include "tests/support/same_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Arguments;
using testing::Environment;
using testing::Outcome;
using testing::Process;
using testing::TemporaryFolder;

const Arguments kShards = {"train.shards=4", "train.micro_batch_size=1", "train.steps=12"};
constexpr std::int64_t kSteps = 12;

std::string mpirun() {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"})
    if (fs::exists(fs::path(folder) / "mpirun")) return std::string(folder) + "mpirun";
  return "";
}

class Ranks : public ::testing::Test {
 protected:
  void SetUp() override {
    QAD_REQUIRE_SHARED_DATA();
    if (!mpirun().empty()) return;
    if (std::getenv("CI") != nullptr) FAIL() << "no mpirun: scripts/install_packages brings it";
    GTEST_SKIP() << "no mpirun";
  }

  // More ranks than cores, as root, in a container: what a test machine may be.
  static Environment environment(const Environment& more = {}) {
    Environment all = testing::run_environment();
    all.insert({{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                {"OMPI_MCA_hwloc_base_binding_policy", "none"},
                {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}});
    for (const auto& [name, value] : more) all[name] = value;
    return all;
  }
  static Process start(int ranks, const Arguments& arguments, const Environment& more = {}) {
    Arguments all = {"-np", std::to_string(ranks), QAD_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return Process(all, environment(more), mpirun());
  }
  static Arguments sharded(const fs::path& folder, Arguments more = {}) {
    more.insert(more.begin(), kShards.begin(), kShards.end());
    return testing::run_of("small.yaml", folder, more);
  }
  // One rank, without mpirun.
  static const fs::path& alone() {
    static const TemporaryFolder folder;
    static const fs::path run = [] {
      const fs::path path = folder / "alone";
      testing::expect_done(testing::run_program(sharded(path), testing::run_environment()));
      return path;
    }();
    return run;
  }
  static void expect_failure(const Outcome& outcome, int code, const std::string& message) {
    EXPECT_EQ(outcome.exit_code, code) << outcome.out << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("qad: "), outcome.err.rfind("qad: ")) << "more than one message: " << outcome.err;
  }
  void wait_for_step(Process& process, std::int64_t step) const {
    while (process.running() && testing::lines_in(run_ / "metrics.jsonl") <= step)
      std::this_thread::sleep_for(milliseconds(1));
  }
  // A process of the job that started last.
  static pid_t process_of_rank(int rank) {
    const std::string wanted = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream file(entry.path() / "environ");
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      std::error_code ignored;
      const bool is_qad = fs::read_symlink(entry.path() / "exe", ignored).filename() == "qad";
      if (is_qad && text.find(wanted) != std::string::npos) return std::stoi(name);
    }
    return 0;
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
};

class SameBits : public Ranks, public ::testing::WithParamInterface<std::pair<int, int>> {};

TEST_P(SameBits, AsOneRank) {
  const auto [ranks, threads] = GetParam();
  testing::expect_done(start(ranks, sharded(run_, {"--threads", std::to_string(threads)})).wait());
  testing::expect_same_run(run_, alone());
}

INSTANTIATE_TEST_SUITE_P(RanksAndThreads, SameBits,
                         ::testing::Values(std::pair(2, 1), std::pair(3, 1), std::pair(4, 1), std::pair(2, 2)));

TEST_F(Ranks, BeyondTheShardsAreIdleAndNamed) {
  const Outcome outcome = start(3, sharded(run_, {"train.shards=2"})).wait();
  testing::expect_done(outcome);
  EXPECT_NE(outcome.err.find("train.shards is 2: rank 2 idles in steps"), std::string::npos) << outcome.err;
}

TEST_F(Ranks, OneKilledEndsAllAndOthersGoOn) {
  {
    Process job = start(2, sharded(run_));
    wait_for_step(job, 5);
    const pid_t victim = process_of_rank(1);
    ASSERT_GT(victim, 0);
    ::kill(victim, SIGKILL);
    EXPECT_NE(job.wait(seconds(30)).exit_code, 0);
  }
  testing::expect_done(start(3, {"resume", run_.string()}).wait());
  testing::expect_same_run(run_, alone());
}

TEST_F(Ranks, ASignalSavesACheckpointOnAll) {
  {
    Process job = start(2, sharded(run_));
    wait_for_step(job, 4);
    job.send(SIGUSR1);
    EXPECT_EQ(job.wait(seconds(60)).exit_code, 3);
  }
  EXPECT_LT(testing::lines_in(run_ / "metrics.jsonl"), kSteps);
  testing::expect_done(testing::run_program({"resume", run_.string()}, testing::run_environment()));
  testing::expect_same_run(run_, alone());
}

TEST_F(Ranks, OneThatHangsEndsTheJobWithOneMessage) {
  Process job = start(2, sharded(run_), {{"QAD_RANK_TIMEOUT", "3"}});
  wait_for_step(job, 3);
  const pid_t victim = process_of_rank(1);
  ASSERT_GT(victim, 0);
  ::kill(victim, SIGSTOP);
  const Outcome outcome = job.wait(seconds(60));
  ::kill(victim, SIGKILL);
  EXPECT_NE(outcome.exit_code, 0);
  for (const char* part : {"qad: rank 0 on ", "at step ", "heard nothing from rank 1 for 3 s"})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
}

TEST_F(Ranks, WithOneShardAreRefused) {
  expect_failure(start(2, testing::run_of("small.yaml", run_)).wait(), 2,
                 "train.shards: expected a power of two from 2 up, so that 2 ranks can share a step, got 1");
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(Ranks, OfAnotherRecipeFolderOrCpuAreNamed) {
  const auto other = [&](const Arguments& second_rank) {
    Arguments all = {"-np", "1", QAD_PROGRAM};
    const Arguments first = sharded(run_);
    all.insert(all.end(), first.begin(), first.end());
    all.insert(all.end(), {":", "-np", "1"});
    all.insert(all.end(), second_rank.begin(), second_rank.end());
    return Process(all, environment(), mpirun()).wait();
  };
  const auto with = [&](Arguments before, const Arguments& more, const fs::path& folder) {
    before.emplace_back(QAD_PROGRAM);
    const Arguments rest = sharded(folder, more);
    before.insert(before.end(), rest.begin(), rest.end());
    return before;
  };
  expect_failure(other(with({}, {"train.lr=0.5"}, run_)), 2, "the recipe of rank 0 on ");
  expect_failure(other(with({}, {}, folder_ / "other")), 2, "the run's folder of rank 0 on ");
  expect_failure(other(with({"-wdir", "/"}, {}, run_)), 2, "the working folder of rank 0 on ");
  expect_failure(other(with({"env", "QAD_SIMD=AVX2"}, {}, run_)), 2, "the CPU of rank 0 on ");
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(Ranks, AMistakeIsToldOnceAndLeavesNothing) {
  expect_failure(start(3, sharded(run_, {"teacher.model=/nowhere"})).wait(), 2, "/nowhere");
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(Ranks, OtherVerbsAreTheFirstRanks) {
  const Outcome outcome = start(3, {"version"}).wait();
  testing::expect_done(outcome);
  EXPECT_EQ(outcome.out.find("qad "), outcome.out.rfind("qad "));
}

TEST_F(Ranks, ThatDoNotFindEachOtherAreRefused) {
  const Outcome outcome = testing::run_program({"version"}, environment({{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.out << outcome.err;
  EXPECT_NE(outcome.err.find("expected 2 ranks"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace qad
