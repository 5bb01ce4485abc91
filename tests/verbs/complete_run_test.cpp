// A complete run that lost something: qad resume makes it again, the same, and nothing else.
#include <gtest/gtest.h>

#include "qad/report/event_file.h"
#include "qad/report/tensorboard_log.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

class CompleteRun : public ::testing::Test {
 protected:
  void SetUp() override {
    work_.run(work_.recipe(), "run",
              {"export=[modelopt, dense]", "evaluate.problems={count: 1, families: [arithmetic], max_new_tokens: 8}"});
    before_ = testing::contents_of(work_.path("run"));
  }
  void resume() const {
    const Outcome outcome = Workplace::start({"resume", work_.at("run")});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("is complete already"), std::string::npos) << outcome.out;
  }
  [[nodiscard]] bool is_as_before() const { return testing::contents_of(work_.path("run")) == before_; }

  Workplace work_;
  std::map<std::string, std::string> before_;
};

TEST_F(CompleteRun, GetsBackWhatItLost) {
  const auto lost = [&](const std::string& name) {
    ASSERT_GT(fs::remove_all(work_.path("run") / name), 0u) << name;
    ASSERT_FALSE(is_as_before());
    resume();
    EXPECT_TRUE(is_as_before()) << name;
  };
  for (const char* name :
       {"report.html", "answers.jsonl", "export/dense", "export", "export/modelopt/model.safetensors"}) {
    SCOPED_TRACE(name);
    lost(name);
  }
  const auto written = fs::last_write_time(work_.path("run/summary.json"));
  resume();
  EXPECT_EQ(fs::last_write_time(work_.path("run/summary.json")), written) << "nothing was missing";
}

TEST_F(CompleteRun, GetsTheEventFileThatWasAskedForLater) {
  const Outcome outcome = Workplace::start({"resume", work_.at("run"), "report.tensorboard=true"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string contents = read_file(work_.path("run") / kEventFile, "events");
  const KeptEvents whole = events_before(contents, 4);
  EXPECT_EQ(whole.last_step, 3);
  EXPECT_EQ(whole.bytes, contents.size());
}

TEST_F(CompleteRun, KeepsAnExportThatSomebodyChanged) {
  const std::string config = work_.at("run/export/dense/config.json");
  work_.write("run/export/dense/config.json", read_file(config, "a config") + "\n");
  work_.refused({"resume", work_.at("run")}, ExitCode::failed,
                {config + ": expected the file that the export wrote", "move it away"});
}

TEST(CompleteComparison, GetsBackWhatAnArmLost) {
  const Workplace work;
  const std::string recipe = work.recipe("arms: [{name: a, kind: ptq}]\n").string();
  const testing::Arguments compare = {"compare", recipe, "kind=compare", "export=[dense]", "--out", work.at("cmp")};
  ASSERT_EQ(Workplace::start(compare).exit_code, 0);
  const fs::path weights = work.path("cmp/arms/a/export/dense/model.safetensors");
  const std::string before = read_file(weights, "weights");
  for (const char* name : {"report.html", "arms/a/report.html", "arms/a/export"})
    fs::remove_all(work.path("cmp") / name);
  const Outcome outcome = Workplace::start({"resume", work.at("cmp"), "report.tensorboard=true"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(work.path("cmp/report.html")) && fs::exists(work.path("cmp/arms/a/report.html")));
  EXPECT_TRUE(fs::exists(work.path("cmp/arms/a") / kEventFile));
  EXPECT_EQ(read_file(weights, "weights"), before);
}

}  // namespace
}  // namespace qad
