// The bytes of event files, and that a killed and resumed run leaves each step once. TensorBoard itself reads one in
// tests/clients.
#include "qad/report/tensorboard_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "qad/report/event_file.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

// RFC 3720, appendix B.4; and the check value of CRC catalogues.
TEST(EventFile, Crc32c) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

// What tensorboard.summary.writer writes for the same events (2.21, wall time 1.5).
TEST(EventFile, BytesOfTensorBoardsOwnWriter) {
  EXPECT_EQ(hex_of(event_file_header(1.5)),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c");
  EXPECT_EQ(
      hex_of(scalars_record(1.5, 300, {{"loss", 0.25}, {"eval/kl_mean", -1e-3}})),
      "300000000000000095f5d05f09000000000000f83f10ac022a220a0b0a046c6f7373150000803e0a130a0c6576616c2f6b6c5f6d656"
      "16e156f1283ba628b1da7");
}

StepDone logged_step(std::int64_t step) {
  StepDone event;
  event.step = step;
  event.tokens = 100 * step;
  event.loss = 1.0 / static_cast<double>(step);
  event.lr = 1e-3;
  event.eval_follows = step % 5 == 0;
  return event;
}

// The steps of a file's records, by cutting it before each step.
std::vector<std::int64_t> steps_in(const fs::path& file, std::int64_t most) {
  const std::string contents = read_file(file, "events");
  std::vector<std::int64_t> steps;
  for (std::int64_t step = 0; step <= most; ++step)
    if (events_before(contents, step + 1).bytes > events_before(contents, step).bytes) steps.push_back(step);
  EXPECT_EQ(events_before(contents, most + 1).bytes, contents.size());
  return steps;
}

struct Logs {
  explicit Logs(const fs::path& folder)
      : metrics(folder / "metrics.jsonl"), events(folder / kEventFile, folder / "metrics.jsonl") {
    both.add(metrics);
    both.add(events);
  }
  void play(std::int64_t first_step, std::int64_t last_step) {
    RunStarted started;
    started.first_step = first_step;
    started.evaluation_pending = first_step == 0;
    both.run_started(started);
    if (first_step == 0) both.eval_done({});
    for (std::int64_t step = first_step + 1; step <= last_step; ++step) {
      both.step_done(logged_step(step));
      if (step % 5 == 0) both.eval_done({step, 100 * step, {}, false});
    }
  }
  MetricsLog metrics;
  TensorBoardLog events;
  RunListeners both;
};

const std::vector<std::int64_t> kSteps = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

TEST(TensorBoardLog, EachStepOnceAfterAKillAndAResume) {
  const testing::TemporaryFolder folder;
  for (const std::int64_t killed_after : {5, 7, 12}) {
    Logs(folder.path()).play(0, killed_after);
    std::ofstream(folder / kEventFile, std::ios::app) << "cut off";
    Logs(folder.path()).play(5, 12);
    EXPECT_EQ(steps_in(folder / kEventFile, 12), kSteps);
  }
}

TEST(TensorBoardLog, GetsWhatItLacksFromTheMetrics) {
  const testing::TemporaryFolder folder;
  Logs(folder.path()).play(0, 12);
  const std::string whole = read_file(folder / kEventFile, "events");
  std::string damaged = whole;
  damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 1);
  for (const std::string& found : {std::string(), std::string("another file"), damaged, whole.substr(0, 300)}) {
    write_file_atomically(folder / kEventFile, found);
    Logs(folder.path()).play(5, 12);
    EXPECT_EQ(steps_in(folder / kEventFile, 12), kSteps);
    EXPECT_EQ(fs::file_size(folder / kEventFile), whole.size());
  }
}

TEST(TensorBoardLog, ThatCanNotBeWrittenIsOneWarning) {
  const testing::TemporaryFolder folder;
  fs::create_directories(folder / kEventFile / "a folder");
  log_to_file(folder / "log.txt");
  EXPECT_NO_THROW(Logs(folder.path()).play(0, 12));
  log_to_file({});
  const std::string log = read_file(folder / "log.txt", "a log");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_NE(log.find(std::string(kEventFile) + ": expected"), std::string::npos) << log;
  EXPECT_EQ(read_metrics(folder / "metrics.jsonl").size(), kSteps.size());
}

}  // namespace
}  // namespace qad
