// A run that begins with GPTQ, whose calibration moves the masters: stopped anywhere and resumed it gives the same
// checkpoints and the same exports, and an export is the student that was measured.
#include <gtest/gtest.h>

#include "tests/bad_input/refusal.h"
#include "tests/support/same_run.h"
#include "tests/verbs/stopped_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Workplace;

TEST(GptqRun, StoppedAndResumedItExportsTheSameBytes) {
  const Workplace work;
  const Recipe recipe = load_recipe(work.recipe(), {"calibrate.algorithm=gptq", "checkpoint.every=1",
                                                    "export=[modelopt, compressed_tensors, dense]"});
  const RunSummary whole =  // the first stop comes in the calibration
      testing::run_whole_and_in_parts(recipe, work.path("whole"), work.path("parts"), {3, 30, 60});
  ASSERT_EQ(whole.exports.size(), 3u);
  for (const ExportSummary& one : whole.exports)  // a dense one has no scales of inputs
    EXPECT_EQ(one.eval.kl_mean == whole.eval.kl_mean, one.format != "dense") << one.format;
  testing::expect_same_checkpoints(work.path("parts/checkpoints"), work.path("whole/checkpoints"));
  for (const char* layout : {"modelopt", "compressed_tensors", "dense"}) {
    const std::string file = std::string("/export/") + layout + "/model.safetensors";
    EXPECT_EQ(read_file(work.path("parts" + file), "", kAnySize), read_file(work.path("whole" + file), "", kAnySize))
        << layout;
  }
}

}  // namespace
}  // namespace qad
