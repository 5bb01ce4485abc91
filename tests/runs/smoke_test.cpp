// A short QAD run against stored figures: a change that moves a bit of it is to say so (scripts/make_smoke_golden).
// Kernels are pinned to what every x86-64 machine of the last ten years has; where the libraries are others all the
// same, bits may differ, and figures are compared as numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "autograd/base/atomic_file.h"
#include "qad/report/metrics_log.h"
#include "tests/runs/program_run.h"
#include "tests/support/same_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const fs::path& golden_folder() {
  static const fs::path folder = testing::source_dir() / "tests" / "runs" / "golden";
  return folder;
}

// "oneDNN 2.6.3 AVX2, SIMD AVX2", from the log.
std::string kernels_of(const fs::path& run) {
  const std::string log = read_file(run / "log.txt", "a log");
  const std::size_t begin = log.find("oneDNN");
  return begin == std::string::npos ? "" : log.substr(begin, log.find('\n', begin) - begin);
}

void expect_close(double value, double expected, const std::string& what) {
  EXPECT_NEAR(value, expected, 0.01 * std::abs(expected)) << what;
}

TEST(Smoke, FiguresAreAsStored) {
  QAD_REQUIRE_SHARED_DATA();
  const testing::TemporaryFolder folder;
  const fs::path run = folder / "run";
  testing::Environment environment = testing::run_environment();
  environment["ONEDNN_MAX_CPU_ISA"] = "AVX2";
  environment["QAD_SIMD"] = "AVX2";
  testing::expect_done(testing::run_program(testing::run_of("smoke.yaml", run, {"--threads", "1"}), environment));

  const std::string metrics = testing::metrics_but_timings(run / "metrics.jsonl");
  const fs::path golden_metrics = golden_folder() / "smoke.jsonl",
                 golden_kernels = golden_folder() / "smoke_kernels.txt";
  if (std::getenv("QAD_UPDATE_GOLDEN") != nullptr) {
    write_file_atomically(golden_metrics, metrics);
    write_file_atomically(golden_kernels, kernels_of(run) + "\n");
    return;
  }
  if (kernels_of(run) + "\n" == read_file(golden_kernels, "stored kernels")) {
    EXPECT_EQ(metrics, read_file(golden_metrics, "stored metrics"));
    return;
  }
  const auto now = read_metrics(run / "metrics.jsonl"), stored = read_metrics(golden_metrics);
  ASSERT_EQ(now.size(), stored.size());
  for (std::size_t i = 1; i < now.size(); ++i) {
    const std::string step = "step " + std::to_string(i) + " on " + kernels_of(run);
    EXPECT_EQ(now[i].training.tokens, stored[i].training.tokens) << step;
    expect_close(now[i].training.loss, stored[i].training.loss, step);
    expect_close(now[i].training.grad_norm, stored[i].training.grad_norm, step);
  }
}

TEST(Smoke, AnUnknownInstructionSetIsRefused) {
  QAD_REQUIRE_SHARED_DATA();
  const testing::TemporaryFolder folder;
  testing::Environment environment = testing::run_environment();
  environment["QAD_SIMD"] = "AVX9";
  const testing::Outcome outcome = testing::run_program(testing::run_of("smoke.yaml", folder / "run"), environment);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.err.find("QAD_SIMD: expected one of AVX3, AVX2, SSE4"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace qad
