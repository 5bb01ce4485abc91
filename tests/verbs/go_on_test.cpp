// A run that goes on: with other keys, with other inputs than it began with, and in the middle of its calibration.
#include <gtest/gtest.h>

#include "autograd/base/interrupt.h"
#include "qad/quant/attach.h"
#include "qad/report/metrics_log.h"
#include "qad/report/summary.h"
#include "qad/run/calibrate_run.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

Outcome resume(const std::string& folder, const Arguments& changes = {}) {
  Arguments arguments = {"resume", folder};
  arguments.insert(arguments.end(), changes.begin(), changes.end());
  return Workplace::start(arguments);
}

TEST(GoOn, MoreStepsAreTheRestOfALongerRun) {
  const Workplace work;
  // A constant rate does not depend on where the end is.
  work.run(work.recipe(), "short", {"train.schedule=constant", "export=[dense]"});
  work.run(work.recipe(), "long", {"train.schedule=constant", "export=[dense]", "train.steps=5"});
  const RunSummary before = read_summary(work.path("short/summary.json"));

  const Outcome outcome = resume(work.at("short"), {"train.steps=5", "train.adamw.moments_in=file"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const RunSummary kept = read_summary(work.path("short/summary.step-3.json"));
  EXPECT_EQ(kept.steps, before.steps);
  EXPECT_EQ(kept.eval.kl_mean, before.eval.kl_mean);
  const RunSummary after = read_summary(work.path("short/summary.json")),
                   whole = read_summary(work.path("long/summary.json"));
  EXPECT_EQ(after.steps, 5);
  EXPECT_EQ(after.tokens, whole.tokens);
  EXPECT_NE(read_file(work.path("short/recipe.yaml"), "").find("steps: 5"), std::string::npos);

  const auto losses = [&](const char* run) {
    std::vector<double> values;
    for (const MetricsRecord& record : read_metrics(work.path(run) / "metrics.jsonl"))
      if (record.training.step > 0) values.push_back(record.training.loss);
    return values;
  };
  EXPECT_EQ(losses("short"), losses("long"));
  const fs::path export_of_short = work.path("short/export/dense/model.safetensors");
  ASSERT_EQ(after.best_step, whole.best_step);
  EXPECT_EQ(read_file(export_of_short, "", kAnySize),
            read_file(work.path("long/export/dense/model.safetensors"), "", kAnySize));
}

TEST(GoOn, TheScheduleIsThatOfTheLongerRun) {
  const Workplace work;
  work.run(work.recipe(), "run", {"train.schedule=cosine"});
  const Outcome outcome =
      testing::run_program({"resume", work.at("run"), "train.steps=6", "train.lr=2e-4", "--threads", "1"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("goes on after step 3 of 3 towards step 6"), std::string::npos) << outcome.err;
  const auto records = read_metrics(work.path("run/metrics.jsonl"));
  ASSERT_EQ(records.back().training.step, 6);
  const ScheduleConfig longer{Schedule::cosine, 2e-4, 0.0, 0.2, 0, 6};
  for (const MetricsRecord& record : records)
    if (record.training.step > 3) {
      EXPECT_DOUBLE_EQ(record.training.lr, learning_rate(longer, record.training.step));
    }
}

TEST(GoOn, OnlyKeysOnTheListMayChange) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const auto refused = [&](const std::string& change, const std::vector<std::string>& words) {
    work.refused({"resume", work.at("run"), change}, ExitCode::usage, words);
  };
  refused("train.batch_size=2", {"train.batch_size", "train.steps, train.micro_batch_size", "begin a new run"});
  refused("seed=7", {"seed", "begin a new run"});
  refused("train={steps: 9}", {"train"});
  refused("data.sequence_length=32", {"data.sequence_length"});
  refused("train.adamw.moments=bf16", {"train.adamw.moments", "begin a new run"});
  refused("train.steps=2", {"train.steps: expected at least the 3 that", "got 2"});
  refused("train.stepz=9", {"train.stepz"});
  refused("learning_rate=1", {"unknown key \"learning_rate\" (here that is train.lr)"});
  refused("train.lr=fast", {"train.lr", "fast"});
}

TEST(GoOn, ANewExportOfACompleteRun) {
  const Workplace work;
  work.run(work.recipe(), "run", {"export=[dense]"});
  const std::string before = read_file(work.path("run/export/dense/model.safetensors"), "", kAnySize);
  ASSERT_EQ(resume(work.at("run"), {"export=[dense, modelopt]"}).exit_code, 0);
  EXPECT_EQ(read_file(work.path("run/export/dense/model.safetensors"), "", kAnySize), before);
  EXPECT_TRUE(fs::exists(work.path("run/export/modelopt/model.safetensors")));
  EXPECT_EQ(read_summary(work.path("run/summary.json")).exports.size(), 2u);
}

TEST(GoOn, AComparisonGoesOnWithItsArms) {
  const Workplace work;
  const std::string recipe = work.recipe(
                                     "arms: [{name: a, kind: ptq}, {name: b, kind: qad}, "
                                     "{name: c, kind: qad, set: [train.steps=2]}]\n")
                                 .string();
  ASSERT_EQ(Workplace::start({"compare", recipe, "kind=compare", "--out", work.at("cmp")}).exit_code, 0);
  work.refused({"resume", work.at("cmp/arms/b"), "train.steps=5"}, ExitCode::usage, {"change the comparison"});
  const Outcome outcome = resume(work.at("cmp"), {"train.steps=5"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto steps = [&](const char* arm) {
    return read_summary(work.path("cmp") / "arms" / arm / "summary.json").steps;
  };
  EXPECT_EQ(steps("b"), 5);
  EXPECT_EQ(steps("c"), 2) << "its own";
  EXPECT_TRUE(fs::exists(work.path("cmp/summary.step-3.json")));
  EXPECT_TRUE(fs::exists(work.path("cmp/arms/b/summary.step-3.json")));
  EXPECT_FALSE(fs::exists(work.path("cmp/arms/c/summary.step-2.json")));
}

// What would act on steps alone is refused where none is to come: the recipe says what a run was trained with.
TEST(GoOn, NothingThatNoStepWouldSee) {
  const Workplace work;
  const auto refused = [&](const std::string& run, const Arguments& changes, const std::vector<std::string>& words) {
    Arguments arguments = {"resume", work.at(run)};
    arguments.insert(arguments.end(), changes.begin(), changes.end());
    work.refused(arguments, ExitCode::usage, words);
  };
  work.run(work.recipe(), "run");
  refused("run", {"train.schedule=constant", "train.lr=2e-4", "export=[dense]"},
          {"train.lr, train.schedule: expected a step still to come, got none in", "add train.steps=N"});
  EXPECT_EQ(resume(work.at("run"), {"train.lr=1e-4", "evaluate.batch_size=2", "threads=1"}).exit_code, 0)
      << "as it was";
  EXPECT_EQ(resume(work.at("run"), {"train.steps=4", "train.lr=2e-4"}).exit_code, 0);

  work.run(work.recipe(), "ptq", {"kind=ptq"});
  refused("ptq", {"train.lr=2e-4"}, {"train.lr: ", "kind: ptq trains nothing"});

  work.run(work.recipe(), "stopped", {"train.lr=0", "train.steps=8", "evaluate.every=1", "train.patience=1"});
  ASSERT_EQ(read_summary(work.path("stopped/summary.json")).end, "early_stop");
  refused("stopped", {"train.lr=2e-4", "train.steps=9"}, {"train.steps, train.lr: ", "train.patience"});
  EXPECT_EQ(resume(work.at("stopped"), {"train.lr=2e-4", "train.patience=0"}).exit_code, 0);
  EXPECT_EQ(read_summary(work.path("stopped/summary.json")).steps, 8);

  const std::string recipe =
      work.recipe("arms: [{name: a, kind: ptq}, {name: b, kind: qad}, {name: c, kind: qad, set: [train.steps=2]}]\n")
          .string();
  ASSERT_EQ(Workplace::start({"compare", recipe, "kind=compare", "--out", work.at("cmp")}).exit_code, 0);
  refused("cmp", {"train.lr=2e-4"}, {"train.lr: expected a step still to come", "add train.steps=N"});
  const std::string of_c = read_file(work.path("cmp/arms/c/recipe.yaml"), "");
  ASSERT_EQ(resume(work.at("cmp"), {"train.lr=2e-4", "train.steps=4"}).exit_code, 0);
  EXPECT_NE(read_file(work.path("cmp/arms/b/recipe.yaml"), "").find("lr: 0.0002"), std::string::npos);
  EXPECT_EQ(read_file(work.path("cmp/arms/c/recipe.yaml"), ""), of_c) << "its steps were done";
}

TEST(GoOn, AComparisonWithARateThatDiverged) {
  const Workplace work;
  const std::string recipe = work.recipe("arms: [{name: b, kind: qad, lr: [1.0e-4, 1000]}]\n").string();
  ASSERT_EQ(
      Workplace::start({"compare", recipe, "kind=compare", "evaluate.every=1", "--out", work.at("cmp")}).exit_code, 0);
  const std::string arm = "cmp/arms/b-lr1000";
  ASSERT_EQ(read_summary(work.path(arm + "/summary.json")).end, "diverged");
  const auto before = testing::contents_of(work.path(arm));
  const Outcome outcome = resume(work.at("cmp"), {"train.steps=5"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(testing::contents_of(work.path(arm)), before);
  const auto rows = read_summary(work.path("cmp/summary.json")).arms.back().candidates;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].end, "diverged");
  EXPECT_EQ(read_summary(work.path("cmp/arms/b-lr0.0001/summary.json")).steps, 5);
}

void all_refuse(const Workplace& work, const std::string& words) {
  for (const Arguments& arguments :
       {Arguments{"resume", work.at("run"), "train.steps=5"}, Arguments{"eval", work.at("run")},
        Arguments{"export", work.at("run"), "--format", "dense", "--out", work.at("x")}})
    work.refused(arguments, ExitCode::failed, {words});
}

TEST(GoOn, NotWithAnotherTextOrTeacher) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const std::string text = read_file(work.path("text.txt"), "");
  const fs::path weights = work.path("teacher/model.safetensors");
  const std::string bytes = read_file(weights, "", kAnySize);

  std::string other = text;
  other[10] = other[10] == 'a' ? 'b' : 'a';
  work.write("text.txt", other);
  work.refused({"resume", work.at("run"), "train.steps=5"}, ExitCode::failed,
               {"step-00000003.h5: expected what the run began with, got another data.train"});
  work.write("text.txt", text);

  std::string changed = bytes;
  changed.back() = static_cast<char>(changed.back() ^ 1);  // a bit of a weight
  work.write("teacher/model.safetensors", changed);
  all_refuse(work, "expected what the run began with, got another teacher");
  work.write("teacher/model.safetensors", bytes);
  EXPECT_EQ(resume(work.at("run"), {"train.steps=5"}).exit_code, 0);
}

TEST(GoOn, NotWithAnotherConfig) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const std::string config = read_file(work.path("teacher/config.json"), "");
  const std::size_t at = config.find("\"rope_theta\": 10000");
  ASSERT_NE(at, std::string::npos) << config;
  std::string other = config;
  other.replace(at, 19, "\"rope_theta\": 50000");
  work.write("teacher/config.json", other);
  all_refuse(work, "expected what the run began with, got another config.json of the");
  work.write("teacher/config.json", config);
  EXPECT_EQ(resume(work.at("run"), {"train.steps=5"}).exit_code, 0);
}

// Which exports would get, be its other tokens in no text.
TEST(GoOn, NotWithAnotherTokenizer) {
  const Workplace work;
  work.run(work.recipe(), "run");
  std::string json = read_file(work.path("teacher/tokenizer.json"), "");
  const std::size_t at = json.find("\"~\"");
  ASSERT_NE(at, std::string::npos);
  work.write("teacher/tokenizer.json", json.replace(at, 3, "\"~~\""));
  work.refused({"resume", work.at("run"), "train.steps=5"}, ExitCode::failed,
               {"expected what the run began with, got another tokenizer"});
}

TEST(GoOn, NotWithAnotherReferenceModel) {
  const Workplace work;
  const fs::path recipe = work.path("grpo.yaml");
  work.write("grpo.yaml", "kind: grpo\nstudent: {model: \"" + work.at("teacher") + "\"}\ndata: {eval: {text: \"" +
                              work.at("held_out.txt") +
                              "\", separator: \"---\"}, sequence_length: 64}\n"
                              "grpo: {prompts: 2, group_size: 2, max_new_tokens: 4}\n"
                              "train: {steps: 2}\nevaluate: {every: 0}\n");
  work.run(recipe, "run");
  const auto other = initialize_model(testing::tiny_config(), 2);
  save_model(work.path("teacher"), *other, DType::bf16);
  work.refused({"resume", work.at("run"), "train.steps=3"}, ExitCode::failed,
               {"expected what the run began with, got another reference model"});
}

// By hand: what a command line may not change, no editor may either.
TEST(GoOn, NotByAnEditedRecipe) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const std::string recipe = read_file(work.path("run/recipe.yaml"), "");
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string text = recipe;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    work.write("run/recipe.yaml", text.replace(at, from.size(), to));
  };
  edited("batch_size: 4", "batch_size: 2");
  work.refused({"resume", work.at("run"), "train.steps=5"}, ExitCode::failed,
               {"expected the recipe that the run began with, got another train.batch_size in its recipe.yaml"});
  edited("inputs: nvfp4", "inputs: none");
  all_refuse(work, "got another quantize.rules in its recipe.yaml");
  edited("steps: 3", "steps: 5");  // it may change
  EXPECT_EQ(resume(work.at("run")).exit_code, 0);
  fs::rename(work.path("text.txt"), work.path("moved.txt"));  // so may where things are
  edited(work.at("text.txt"), work.at("moved.txt"));
  EXPECT_EQ(resume(work.at("run"), {"train.steps=5"}).exit_code, 0);
}

TEST(EvalOfARun, SaysThatItsTextWasTrainedOn) {
  const Workplace work;
  work.run(work.recipe(), "run");
  const std::string words = "was trained on";
  Arguments arguments = {"eval", work.at("run"), "data.eval.text=" + work.at("text.txt")};
  const Outcome outcome = Workplace::start(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  EXPECT_EQ(Workplace::start({"eval", work.at("run")}).err.find(words), std::string::npos);
}

// The batches that come after the stop are seen by quantizers that remember those before.
TEST(Calibration, GoesOnWhereItWasStopped) {
  const Workplace work;
  const fs::path file = work.recipe();
  const Recipe recipe = load_recipe(file, {"calibrate.tokens=4096", "evaluate.batch_size=1"});
  const RunFolder folder{work.path("run")};
  const Materials materials = load_materials(recipe, folder);
  ASSERT_GT(materials.calibration.size(), 4u);
  const auto calibrated = [&] {
    Student student = make_student(recipe, materials.teacher.get(), nullptr);
    calibrate_run(student, materials, folder);
    return student.quantizers.state();
  };
  const auto whole = calibrated();
  EXPECT_FALSE(fs::exists(folder.calibration()));

  int polls = 0;
  {
    const StopQuestion question([&] { return ++polls > 200; });  // in the middle of a batch
    EXPECT_THROW(static_cast<void>(calibrated()), Stopped);
  }
  ASSERT_TRUE(fs::exists(folder.calibration()));
  Student half = make_student(recipe, materials.teacher.get(), nullptr);
  polls = 0;
  const auto batches_of = [&](std::size_t count) {  // with all but the last ones changed: they must not be seen again
    Materials rest = load_materials(recipe, folder);
    for (std::size_t i = 0; i < count; ++i) rest.calibration[i] = rest.calibration.back();
    return rest;
  };
  const auto content = load_checkpoint(folder.calibration());
  const auto done = static_cast<std::size_t>(std::get<std::int64_t>(content.numbers.at("batches")));
  ASSERT_GT(done, 0u);
  ASSERT_LT(done, materials.calibration.size());
  calibrate_run(half, batches_of(done), folder);
  EXPECT_EQ(half.quantizers.state(), whole);
}

}  // namespace
}  // namespace qad
