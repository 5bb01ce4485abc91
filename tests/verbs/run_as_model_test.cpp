// A run's folder as student.model and teacher.model: its FP32 masters or its student, with the files of the model that
// it began with.
#include <gtest/gtest.h>

#include <map>

#include "models/import/model_folder.h"
#include "qad/report/summary.h"
#include "qad/run/named_model.h"
#include "qad/run/student.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

// By parameter, in FP32.
std::map<std::string, std::vector<float>> values_of(LanguageModel& model) {
  std::map<std::string, std::vector<float>> values;
  for (const ParameterPointer& parameter : model.parameters()) {
    const Tensor value = parameter->value().to(DType::f32);
    values[parameter->name] = {value.span().begin(), value.span().end()};
  }
  return values;
}

std::map<std::string, std::vector<float>> values_in(const fs::path& model, RunModel of_run = RunModel::masters,
                                                    WeightType type = WeightType::file) {
  return values_of(*load_named_model(model, of_run, type));
}

class RunAsModel : public ::testing::Test {
 protected:
  void SetUp() override {
    // QAT, whose best step is one that has learned.
    work_.run(work_.recipe(), "first", {"kind=qat", "export=[dense]", "train.lr=1e-3"});
  }
  [[nodiscard]] fs::path first() const { return work_.path("first"); }
  [[nodiscard]] std::string dense() const { return work_.at("first/export/dense"); }
  [[nodiscard]] std::string recipe_of_first() const { return read_file(first() / "recipe.yaml", "a recipe"); }

  Workplace work_;
};

TEST_F(RunAsModel, MastersAreThoseOfTheBestCheckpoint) {
  const auto teacher = load_model(work_.teacher(), WeightType::bf16);
  RunFolder folder{first()};
  SavedStudent saved = load_student(folder, read_recipe(folder), teacher.get(), CheckpointChoice::best);
  const auto masters = values_of(*saved.student.model);
  EXPECT_TRUE(values_in(first()) == masters);
  EXPECT_FALSE(values_in(first()) == values_in(work_.teacher()));

  // A run that starts from there and trains nothing still has them: FP32, not what an export holds.
  work_.run(work_.recipe(), "second", {"kind=ptq", "student.model=" + first().string()});
  EXPECT_TRUE(values_in(work_.path("second")) == masters);
  EXPECT_FALSE(values_in(dense()) == masters);
}

TEST_F(RunAsModel, TheStudentIsWhatItsDenseExportHolds) {
  EXPECT_TRUE(values_in(first(), RunModel::student) == values_in(dense()));
  work_.run(work_.recipe(), "second", {"kind=ptq", "student.model=" + first().string(), "student.of_run=student"});
  EXPECT_TRUE(values_in(work_.path("second")) == values_in(dense()));
}

TEST_F(RunAsModel, AsATeacherItIsTheSameAsItsDenseExport) {
  work_.run(work_.recipe(), "from_run", {"teacher.model=" + first().string(), "student.model=teacher"});
  work_.run(work_.recipe(), "from_export", {"teacher.model=" + dense()});
  const RunSummary run = read_summary(work_.path("from_run/summary.json")),
                   exported = read_summary(work_.path("from_export/summary.json"));
  EXPECT_EQ(run.eval.kl_mean, exported.eval.kl_mean);
  EXPECT_GT(run.eval.kl_mean, 0.0);
  EXPECT_TRUE(values_in(work_.path("from_run")) == values_in(work_.path("from_export")));
}

TEST_F(RunAsModel, MastersOfATeacherAreRoundedToBf16) {
  TeacherConfig teacher{first().string(), RunModel::masters, TeacherWeights::bf16};
  auto expected = values_in(first());
  for (auto& [name, values] : expected) {
    Tensor tensor(Shape{std::ssize(values)});
    std::copy(values.begin(), values.end(), tensor.span().begin());
    const Tensor rounded = tensor.to(DType::bf16).to(DType::f32);
    values.assign(rounded.span().begin(), rounded.span().end());
  }
  EXPECT_TRUE(values_of(*load_teacher(teacher)) == expected);
}

TEST_F(RunAsModel, TheFilesOfItsModelGoAlong) {
  work_.run(work_.recipe(), "second", {"kind=ptq", "student.model=" + first().string(), "export=[modelopt]"});
  EXPECT_TRUE(fs::exists(work_.path("second/export/modelopt/tokenizer.json")));
  const Outcome plan = Workplace::start({"plan", work_.recipe().string(), "student.model=" + first().string()});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  const Outcome check = Workplace::start({"eval", work_.at("second"), "--teacher", work_.at("first"), "--json"});
  EXPECT_EQ(check.exit_code, 0) << check.err;
}

TEST_F(RunAsModel, ResumesOnlyAsLongAsTheOtherRunStays) {
  work_.run(work_.recipe(), "second", {"teacher.model=" + first().string()});
  fs::copy_file(first() / "checkpoints/step-00000000.h5", first() / "checkpoints/best.h5",
                fs::copy_options::overwrite_existing);
  work_.refused({"resume", work_.at("second"), "train.steps=5"}, ExitCode::failed, {"second", "teacher"});
}

TEST_F(RunAsModel, WhatIsNoModelIsRefusedWithItsPlace) {
  const std::string folder = first().string();
  work_.run_refused({"kind=merge", "teacher=null", "student.model=teacher", "quantize.rules=[]",
                     "merge.models=[{model: " + folder + "}, {model: " + dense() + "}]"},
                    ExitCode::usage, {"merge.models[0].model", "dense export"});

  fs::create_directories(work_.path("circle"));
  std::string circle = recipe_of_first();
  const std::string start = "student:\n  model: teacher";
  ASSERT_NE(circle.find(start), std::string::npos) << circle;
  circle.replace(circle.find(start), start.size(), "student:\n  model: " + work_.at("circle"));
  work_.write("circle/recipe.yaml", circle);
  work_.run_refused({"student.model=" + work_.at("circle")}, ExitCode::usage, {"student.model", "circle"});

  fs::create_directories(work_.path("empty"));
  work_.write("empty/recipe.yaml", recipe_of_first());
  work_.run_refused({"student.model=" + work_.at("empty")}, ExitCode::failed, {"empty", "checkpoint"});
}

TEST(PretrainingRun, NeedsItsDenseExport) {
  const Workplace work;
  work.run(work.recipe(), "base",
           {"kind=pretrain", "teacher=null", "quantize.rules=[]", "data.tokenizer=bytes",
            "model={vocab_size: 258, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, "
            "num_attention_heads: 4, num_key_value_heads: 2}"});
  const std::string base = work.at("base");
  work.run_refused({"teacher.model=" + base}, ExitCode::usage,
                   {"teacher.model", "qad resume " + base + " export=[dense]"});
  const Outcome resume = Workplace::start({"resume", base, "export=[dense]"});
  ASSERT_EQ(resume.exit_code, 0) << resume.err;
  work.run(work.recipe(), "student", {"teacher.model=" + base});
  EXPECT_TRUE(values_of(*load_teacher({base})) == values_in(base + "/export/dense"));
}

TEST(RunFolders, AreNotWhatLlmCompressorWrites) {
  const Workplace work;
  write_file_atomically(work.teacher() / "recipe.yaml", "default_stage: {default_modifiers: {}}\n");
  EXPECT_FALSE(is_run_folder(work.teacher()));
  work.run(work.recipe(), "run");
  EXPECT_TRUE(is_run_folder(work.path("run")));
}

}  // namespace
}  // namespace qad
