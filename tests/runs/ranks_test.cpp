// The real program as several ranks under mpirun: the same bits as one, whatever happens to it on the way, and one
// message where something is wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "autograd/base/atomic_file.h"
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
using testing::source_dir;
using testing::TemporaryFolder;

const Arguments kShards = {"train.shards=4", "train.micro_batch_size=1", "train.steps=12"};
constexpr std::int64_t kSharedSteps = 12;

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
    all.insert({{"QAD_RECIPES", (source_dir() / "recipes").string()},
                {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
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
  static std::string text_of(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // The process of a rank of this test's run; 0 where there is none.
  [[nodiscard]] pid_t process_of_rank(int rank) const {
    const std::string wanted = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::error_code ignored;
      if (fs::read_symlink(entry.path() / "exe", ignored).filename() == "qad" &&
          text_of(entry.path() / "environ").find(wanted) != std::string::npos &&
          text_of(entry.path() / "cmdline").find(run_.string()) != std::string::npos)
        return std::stoi(name);
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

// Recipes of other kinds, on one rank and on three that share four shards.
class Kinds : public Ranks, public ::testing::WithParamInterface<std::pair<const char*, std::string>> {};

TEST_P(Kinds, HaveTheSameBitsOnThree) {
  const fs::path recipe = folder_ / "recipe.yaml", one = folder_ / "one";
  write_file_atomically(recipe, GetParam().second);
  testing::expect_done(testing::run_program({"run", recipe.string(), "--out", one.string()}, environment()));
  testing::expect_done(start(3, {"run", recipe.string(), "--out", run_.string()}).wait());
  testing::expect_same_run(run_, one);
  for (const fs::path& file : {fs::path("answers.jsonl"), fs::path("teacher_text_train.h5")}) {
    ASSERT_EQ(fs::exists(run_ / file), fs::exists(one / file));
    if (!fs::exists(one / file)) continue;
    EXPECT_EQ(read_file(run_ / file, "it"), read_file(one / file, "it")) << file;
  }
}

// Experts that some shards have no token for, and all that training keeps beside the moments.
const std::string kExperts = R"(
imports: [presets/nvfp4_w4a4]
kind: qad
teacher: {model: "${QAD_SHARED_DATA}/tiny-families/qwen3-moe"}
data:
  tokenizer: bytes
  train: {random_tokens: {documents: 200, length: 20, seed: 1}}
  eval: {random_tokens: {documents: 20, length: 40, seed: 2}}
  sequence_length: 64
calibrate: {tokens: 2048, algorithm: mse}
quantize: {scales: dual_lsq}
train:
  {steps: 8, batch_size: 4, shards: 4, lr: 1.0e-3, weight_ema: 0.8, pull_to_grid: {strength: 5, begins: 0.25},
   oscillation_reset: {window: 2, begins: 0.25}}
evaluate: {every: 4}
checkpoint: {every: 4}
export: [modelopt]
)";
const std::string kRewards = R"(
kind: grpo
student: {model: "${QAD_RECIPES}/paper/model"}
grpo: {prompts: 6, group_size: 4, seed: 3, kl_weight: 0.005, mini_batches: 2}
data: {eval: {problems: {documents: 20, first: 1000, seed: 1, split: validation}, eos: true}, sequence_length: 256}
train: {steps: 2, shards: 4, lr: 3.0e-4, micro_batch_size: 1, adamw: {moments: bf16}}
evaluate: {problems: {count: 3, samples: 2}}
export: [dense]
)";
const std::string kTeachersText = R"(
imports: [presets/nvfp4_w4a4_best]
kind: qad
teacher: {model: "${QAD_RECIPES}/paper/model"}
data:
  tokenizer: bytes
  train: {teacher_text: {documents: 40, max_tokens: 60, problems: {documents: 40, seed: 1}}}
  eval: {problems: {documents: 20, first: 1000, seed: 1, split: validation}, eos: true}
  sequence_length: 64
calibrate: {tokens: 512}
train: {steps: 3, batch_size: 4, shards: 4, lr: 1.0e-3}
evaluate: {every: 2}
)";

INSTANTIATE_TEST_SUITE_P(Recipes, Kinds,
                         ::testing::Values(std::pair("experts", kExperts), std::pair("rewards", kRewards),
                                           std::pair("teachers_text", kTeachersText)),
                         [](const auto& one) { return std::string(one.param.first); });

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
  EXPECT_LT(testing::lines_in(run_ / "metrics.jsonl"), kSharedSteps);
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

// Two network namespaces, as two machines.
class Network : public Ranks {
 protected:
  void SetUp() override {
    Ranks::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const Outcome up = script({"up"});
    if (up.exit_code != 0) GTEST_SKIP() << "no network namespaces here: " << up.err;
    ASSERT_EQ(script({"slow", "1gbit"}).exit_code, 0);
  }
  void TearDown() override { static_cast<void>(script({"down"})); }
  static std::string path() { return (source_dir() / "scripts" / "two_machines").string(); }
  static Environment network(const Environment& more = {}) {
    Environment all = environment(more);
    all["QAD_NAMESPACES"] = "qad" + std::to_string(::getpid());  // tests run side by side
    return all;
  }
  static Outcome script(const Arguments& arguments) {
    Process process(arguments, network(), path());
    return process.wait();
  }
  [[nodiscard]] Process run(const Arguments& more, const Environment& environment = {}) const {
    Arguments all = {"run", QAD_PROGRAM};
    const Arguments rest = sharded(run_, more);
    all.insert(all.end(), rest.begin(), rest.end());
    return Process(all, network(environment), path());
  }
};

TEST_F(Network, AThinLinkChangesNoBit) {
  ASSERT_EQ(script({"slow", "50mbit"}).exit_code, 0);
  testing::expect_done(run({}).wait());
  testing::expect_same_run(run_, alone());
}

TEST_F(Network, ACutLinkEndsTheRanksAndTheRunGoesOn) {
  Process job = run({}, {{"QAD_RANK_TIMEOUT", "3"}});
  wait_for_step(job, 4);
  ASSERT_EQ(script({"cut"}).exit_code, 0);
  for (int tenths = 0; tenths < 300 && (process_of_rank(0) != 0 || process_of_rank(1) != 0); ++tenths)
    std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(process_of_rank(0), 0);
  EXPECT_EQ(process_of_rank(1), 0);
  static_cast<void>(script({"down"}));  // Open MPI 4's own processes wait on
  const Outcome outcome = job.wait(seconds(30));
  EXPECT_NE(outcome.err.find("heard nothing from rank 1 for 3 s"), std::string::npos) << outcome.err;
  testing::expect_done(testing::run_program({"resume", run_.string()}, testing::run_environment()));
  testing::expect_same_run(run_, alone());
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
