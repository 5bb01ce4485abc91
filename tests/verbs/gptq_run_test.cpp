// A run that begins with GPTQ, whose calibration moves the masters: stopped anywhere and resumed it gives the same
// checkpoints and the same exports, and an export is the student that was measured.
#include <gtest/gtest.h>

#include "autograd/base/interrupt.h"
#include "qad/report/summary.h"
#include "qad/run/run_one.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/same_run.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Workplace;

TEST(GptqRun, StoppedAndResumedItExportsTheSameBytes) {
  const Workplace work;
  const Recipe recipe = load_recipe(work.recipe(), {"calibrate.algorithm=gptq", "checkpoint.every=1",
                                                    "export=[modelopt, compressed_tensors, dense]"});
  const auto run = [&](const std::string& out, const std::function<bool()>& stop) {
    const RunFolder folder =
        fs::exists(work.path(out)) ? RunFolder{work.path(out)} : create_run_folder(work.path(out), recipe);
    const Materials materials = load_materials(recipe, folder);
    const StopQuestion question(stop);
    return run_one(recipe, materials, folder, out);
  };
  int polls = 0;
  const RunSummary whole = run("whole", [&] { return ++polls, false; });
  ASSERT_EQ(whole.exports.size(), 3u);
  for (const ExportSummary& one : whole.exports)  // a dense one has no scales of inputs
    EXPECT_EQ(one.eval.kl_mean == whole.eval.kl_mean, one.format != "dense") << one.format;

  int stops = 0;
  for (const int percent : {3, 30, 60}) {  // of what is left; the first in the calibration
    int until = polls * percent / 100;
    try {
      static_cast<void>(run("parts", [&] { return --until < 0; }));
    } catch (const Stopped&) {
      ++stops;
    }
  }
  EXPECT_GT(stops, 1);
  static_cast<void>(run("parts", {}));
  testing::expect_same_checkpoints(work.path("parts/checkpoints"), work.path("whole/checkpoints"));
  for (const char* layout : {"modelopt", "compressed_tensors", "dense"}) {
    const std::string file = std::string("/export/") + layout + "/model.safetensors";
    EXPECT_EQ(read_file(work.path("parts" + file), "", kAnySize), read_file(work.path("whole" + file), "", kAnySize))
        << layout;
  }
}

}  // namespace
}  // namespace qad
