// An export as qad reads it back: any flipped bit in any of its files is named by every verb that uses it; what a
// killed export left is not taken for one.
#include <csignal>
#include <fstream>
#include <thread>

#include "autograd/base/random.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

class DamagedExport : public ::testing::Test {
 protected:
  void SetUp() override { work_.run(work_.recipe(), "run", {"export=[modelopt, dense]"}); }
  [[nodiscard]] std::vector<Arguments> verbs(const std::string& folder) const {
    return {{"inspect", folder},
            {"eval", folder, "--data", work_.at("text.txt"), "--tokens", "64"},
            {"generate", folder, "--max-tokens", "1"}};
  }
  void all_refuse(const std::string& folder, const std::string& words) const {
    for (const Arguments& verb : verbs(folder)) {
      const Outcome outcome = Workplace::start(verb);
      EXPECT_EQ(outcome.exit_code, 1) << verb.front() << " " << outcome.out;
      EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
      EXPECT_NE(outcome.err.find(words), std::string::npos) << verb.front() << ": " << outcome.err;
    }
  }
  void all_accept(const std::string& folder) const {
    for (const Arguments& verb : verbs(folder)) {
      const Outcome outcome = Workplace::start(verb);
      EXPECT_EQ(outcome.exit_code, 0) << verb.front() << " " << outcome.err;
    }
  }

  Workplace work_;
};

TEST_F(DamagedExport, EveryFlippedBitIsNamedByEveryVerb) {
  Random random(5, 0);
  for (const char* layout : {"modelopt", "dense"}) {
    const fs::path folder = work_.path("run/export") / layout;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::ranges::sort(files);
    EXPECT_GE(files.size(), 5u);
    for (const fs::path& file : files) {
      const std::string good = read_file(file, "a file");
      std::string bad = good;
      const auto bit = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(8 * good.size())));
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      std::ofstream(file, std::ios::binary) << bad;
      SCOPED_TRACE(bit);
      all_refuse(folder.string(), file.string() + ": expected the file that the export wrote, got another");
      std::ofstream(file, std::ios::binary) << good;
    }
    work_.write("run/export/" + std::string(layout) + "/README.md", "mine");
    all_accept(folder.string());
  }
}

TEST_F(DamagedExport, IsRefusedAsATeacherToo) {
  const fs::path file = work_.path("run/export/dense/model.safetensors");
  std::string bytes = read_file(file, "weights");
  bytes[bytes.size() - 7] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
  const std::string words = file.string() + ": expected the file that the export wrote, got another one of its size";
  work_.run_refused({"teacher.model=" + work_.at("run/export/dense")}, ExitCode::failed, {words});
  work_.run_refused({"student.model=" + work_.at("run/export/dense")}, ExitCode::failed, {words});
  work_.refused({"eval", work_.at("run"), "--teacher", work_.at("run/export/dense")}, ExitCode::failed, {words});
  work_.refused({"inspect", file.string()}, ExitCode::failed, {words});
  const Outcome outcome = Workplace::start({"inspect", work_.at("run")});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.out.find("export/dense, damaged"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
}

TEST_F(DamagedExport, ThatWasKilledIsNotTakenForWhole) {
  const fs::path out = work_.path("out"), partial = work_.path(".out.partial");
  bool was_partial = false;
  for (int delay = 0; delay < 400 && !was_partial; delay += 5) {
    testing::Process exporting(
        {"export", work_.at("run"), "--quiet", "--threads", "1", "--format", "modelopt", "--out", out.string()});
    while (exporting.running() && !fs::exists(partial / "model.safetensors"))
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    exporting.send(SIGKILL);
    exporting.wait();
    was_partial = fs::exists(partial / "model.safetensors") && !fs::exists(out);
    if (!was_partial) fs::remove_all(out);
  }
  if (!was_partial) GTEST_SKIP() << "every export was faster than its end";
  if (!fs::exists(partial / "qad_export.json")) {
    for (const Arguments& verb : verbs(partial.string()))
      EXPECT_EQ(Workplace::start(verb).exit_code, 1) << verb.front();
  }
  const Outcome again = Workplace::start({"export", work_.at("run"), "--format", "modelopt", "--out", out.string()});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_FALSE(fs::exists(partial));
  all_accept(out.string());
}

}  // namespace
}  // namespace qad
