// Whether a student can be exported is tried before it is trained: the scales that it trains with stay as they are.
#include <gtest/gtest.h>

#include "qad/calib/calibrate.h"
#include "qad/run/export_student.h"
#include "tests/support/error_of.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

class CheckExports : public ::testing::Test {
 protected:
  // A student whose scales follow the data.
  void start(const std::string& layout) {
    recipe_ = load_recipe(run_.recipe(), {"export=[" + layout + "]", "quantize.tensor_scale.from=data"});
    materials_ = load_materials(recipe_, {run_.path("out")});
    student_ = make_student(recipe_, materials_.teacher.get(), nullptr);
  }
  std::string refusal() {
    return error_of([&] { check_exports(recipe_, materials_, student_); });
  }

  testing::TinyRun run_;
  Recipe recipe_;
  Materials materials_;
  Student student_;
};

TEST_F(CheckExports, LeavesTheScalesWhenAllIsWell) {
  start("modelopt");
  calibrate(*student_.model, student_.quantizers, materials_.calibration);
  const auto before = student_.quantizers.state();
  for (const auto& [name, value] : before)
    if (name.ends_with(".follows_data")) {
      EXPECT_EQ(value, 1.0) << name;
    }
  check_exports(recipe_, materials_, student_);
  EXPECT_EQ(student_.quantizers.state(), before);
}

TEST_F(CheckExports, LeavesTheScalesWhenALayoutRefuses) {
  start("modelopt");
  calibrate(*student_.model, student_.quantizers, materials_.calibration);
  const auto before = student_.quantizers.state();
  recipe_.export_formats = {"gguf"};
  expect_mentions(refusal(), {"gguf", "64"});  // blocks of 64, and this model is 32 wide
  EXPECT_EQ(student_.quantizers.state(), before);
}

TEST_F(CheckExports, LeavesTheScalesWhenOneOfThemIsNotKnown) {
  start("modelopt");
  student_.quantizers.end_observing(TensorScaleSource::data);  // before any token
  const auto before = student_.quantizers.state();
  expect_mentions(refusal(), {"calibration to reach this layer"});
  EXPECT_EQ(student_.quantizers.state(), before);
}

}  // namespace
}  // namespace qad
