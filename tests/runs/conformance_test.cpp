// The conformance recipe, which others will hold their implementation against: its windows are the file's tokens in
// order, its loss is the KL of those, its gradient norm is not clipped. Made again here step by step from the parts.
#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/random.h"
#include "autograd/optim/adamw.h"
#include "data/files/hdf5_file.h"
#include "models/import/model_folder.h"
#include "qad/calib/calibrate.h"
#include "qad/loss/loss.h"
#include "qad/recipe/recipe.h"
#include "qad/report/metrics_log.h"
#include "tests/runs/program_run.h"

namespace qad {
namespace {

constexpr std::int64_t kWindow = 256, kBatch = 8, kSteps = 3, kTokens = kWindow * kBatch * kSteps + 100;

Tensor some_tokens() {
  Tensor ids({kTokens}, DType::i32);
  Random random(3, stream_of("conformance"));
  for (std::int32_t& id : ids.span<std::int32_t>()) id = static_cast<std::int32_t>(random.below(2048));
  return ids;
}

// Windows [first, first + count) of the stream: every token counts, every window stands alone.
TokenBatch windows(const Tensor& ids, std::int64_t first, std::int64_t count) {
  TokenBatch batch;
  for (std::int64_t window = first; window < first + count; ++window) {
    const auto begin = static_cast<std::int32_t>(batch.size());
    for (std::int64_t i = 0; i < kWindow; ++i) {
      batch.ids.push_back(ids.data<std::int32_t>()[window * kWindow + i]);
      batch.positions.push_back(static_cast<std::int32_t>(i));
      batch.labels.push_back(kNoLabel);
      batch.valid.push_back(1);
    }
    batch.segments.push_back({begin, static_cast<std::int32_t>(batch.size())});
    batch.document.push_back(window);
  }
  return batch;
}

TEST(Conformance, StepsAreThoseOfTheFilesWindowsInOrder) {
  QAD_REQUIRE_SHARED_DATA();
  const testing::TemporaryFolder folder;
  const Tensor ids = some_tokens();
  Hdf5Writer writer(folder / "tokens.h5");
  writer.write_tensor("ids", ids);
  writer.close();
  testing::Environment environment = testing::run_environment();
  environment["QAD_CONFORMANCE_TOKENS"] = (folder / "tokens.h5").string();
  testing::expect_done(
      testing::run_program({"run", "recipes/conformance/qad.yaml", "train.steps=" + std::to_string(kSteps),
                            "calibrate.tokens=2048", "--out", (folder / "run").string()},
                           environment));
  const auto records = read_metrics(folder / "run" / "metrics.jsonl");
  ASSERT_EQ(records.size(), static_cast<std::size_t>(kSteps) + 1);

  const auto teacher = load_model(testing::shared_data() / "tinystories-656k-hf", WeightType::file);
  const auto student = trainable_copy(*teacher);
  QuantizeConfig quantize;
  quantize.rules = {{"*", "nvfp4", "nvfp4"}, {"lm_head", "none", "none"}};
  quantize.tensor_scale = {TensorScaleRound::none, TensorScaleSource::data};
  quantize.unquantized = UnquantizedType::fp32;
  QuantizerSet quantizers = attach_quantizers(*student, quantize);
  // What calibration saw makes no difference: scales are those of the data.
  calibrate(*student, quantizers, {windows(ids, 3, 1)}, {TensorScaleSource::data});
  AdamW optimizer({0.9, 0.95, 1e-8, 0.0}, student->parameters());
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    SCOPED_TRACE(step);
    const TokenBatch batch = windows(ids, (step - 1) * kBatch, kBatch);
    const FusedLoss loss = batch_loss({}, *student, teacher.get(), batch, batch.size());
    backward(loss.loss);
    const StepDone& told = records[static_cast<std::size_t>(step)].training;
    EXPECT_EQ(told.tokens, step * kBatch * kWindow);
    EXPECT_EQ(told.loss, loss.value);
    EXPECT_EQ(told.grad_norm, gradient_norm(optimizer.parameters()));
    EXPECT_EQ(told.lr, 1e-4);
    optimizer.step(1e-4, 1.0);
  }
}

TEST(Conformance, NothingIsLeftToDefaults) {
  QAD_REQUIRE_SHARED_DATA();
  const Recipe recipe = load_recipe(testing::source_dir() / "recipes" / "conformance" / "qad.yaml");
  EXPECT_EQ(recipe.data.packing, Packing::concatenate);
  EXPECT_EQ(recipe.data.order, DataOrder::sequential);
  EXPECT_EQ(recipe.train.schedule, Schedule::constant);
  EXPECT_EQ(recipe.train.warmup_steps, 0);
  EXPECT_EQ(recipe.train.clip_norm, 0);
  EXPECT_EQ(recipe.train.adamw.weight_decay, 0);
  EXPECT_EQ(recipe.quantize.ste, StraightThrough::identity);
  EXPECT_EQ(recipe.quantize.unquantized, UnquantizedType::fp32);
  EXPECT_TRUE(recipe.quantize.share_groups);
}

}  // namespace
}  // namespace qad
