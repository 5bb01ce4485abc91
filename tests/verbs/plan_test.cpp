// Plans: counts that follow from the recipe, and memory that is held against what a run's parts really take.
#include "qad/verbs/plan.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/core/dry_run.h"
#include "autograd/core/storage.h"
#include "data/text/loader.h"
#include "data/text/token_file.h"
#include "qad/calib/calibrate.h"
#include "qad/plan/plan_memory.h"
#include "qad/plan/plan_run.h"
#include "qad/plan/plan_subject.h"
#include "qad/run/materials.h"
#include "qad/run/stage_of_run.h"
#include "qad/run/student.h"
#include "qad/train/evaluator.h"
#include "qad/train/step.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::expect_has;

// The same ops outside and inside of a dry run ask for the same memory.
TEST(DryRuns, KeepTheLedgerOfTheRealThing) {
  const auto work = [] {
    std::vector<Tensor> tensors;
    for (const std::int64_t size : {1, 100, 1000, 4096, 5000}) {
      tensors.push_back(Tensor::zeros({size}));
      static_cast<void>(Tensor({size}).clone());  // freed blocks are used again
    }
    return tensors;
  };
  const auto in_use = [] { return storage_statistics().in_use_bytes; };
  const std::size_t before = in_use();
  {
    const DryRun dry;
    constexpr std::size_t kAll = 4 * (1 + 100 + 1000 + 4096 + 5000);
    const auto tensors = work();
    EXPECT_EQ(dry.held_bytes(), kAll);
    EXPECT_EQ(dry.touched_bytes(), 3 * kAll);
    const auto more = work();  // finds the two of each size that were freed
    EXPECT_EQ(dry.touched_bytes(), 4 * kAll);
    EXPECT_EQ(in_use(), before);
    const Tensor huge({std::int64_t{1} << 40});  // 4 TiB
    EXPECT_GT(dry.held_bytes(), std::size_t{1} << 42);
  }
  const auto tensors = work();
  EXPECT_GE(in_use() - before, 4u * (1 + 100 + 1000 + 4096 + 5000));  // whole blocks
}

// Two steps and two evaluations as a run would do them; what storage then holds or keeps cached is what it ever needed.
std::int64_t measured_bytes(const Recipe& recipe, const RunFolder& folder) {
  release_cached_storage();
  const auto total = [] {
    const StorageStatistics now = storage_statistics();
    return static_cast<std::int64_t>(now.in_use_bytes + now.cached_bytes);
  };
  const std::int64_t before = total();
  const Materials materials = load_materials(recipe, folder);
  Student student = make_student(recipe, materials.teacher.get(), nullptr);
  student.model->activation_checkpointing = recipe.train.activation_checkpointing;
  const MovedParameters moved =
      moved_parameters(*student.model, student.quantizers, recipe.train.parameters, recipe.train.adamw);
  AdamW optimizer(recipe.train.adamw, moved.parameters, moved.options);
  if (!student.quantizers.empty())
    calibrate(*student.model, student.quantizers, materials.calibration, {recipe.quantize.tensor_scale.from});
  static_cast<void>(evaluate(*student.model, materials.teacher.get(), materials.evaluation));
  Loader loader(*materials.train, recipe.data.order, static_cast<std::uint64_t>(recipe.seed));
  for (std::int64_t step = 1; step <= recipe.train.steps; ++step)
    static_cast<void>(train_step(recipe.train, recipe.loss, step, *student.model, materials.teacher.get(), optimizer,
                                 {loader.next(recipe.train.batch_size)}));
  static_cast<void>(evaluate(*student.model, materials.teacher.get(), materials.evaluation));
  return total() - before;
}

ModelConfig deep_config() {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 64;
  config.intermediate_size = 192;
  config.num_hidden_layers = 6;
  return config;
}

MemoryPlan memory_of(const Recipe& recipe) { return plan_memory(plan_subject(recipe, plan_text(recipe)), 0); }

class PlanMemory : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(PlanMemory, MatchesWhatIsKept) {
  const testing::TinyRun run(deep_config());
  std::vector<std::string> overrides = {"loss.chunk_mebibytes=1", "train.batch_size=24", "evaluate.batch_size=24"};
  overrides.insert(overrides.end(), GetParam().begin(), GetParam().end());
  const Recipe recipe = load_recipe(run.recipe(), overrides);
  const MemoryPlan plan = memory_of(recipe);
  const auto measured = static_cast<double>(measured_bytes(recipe, {run.path("unused")}));
  EXPECT_NEAR(static_cast<double>(plan.total()) / measured, 1.0, 0.05)
      << plan.total() << " planned, " << measured << " measured; activations " << plan.activations << ", logits "
      << plan.logits << ", working " << plan.working;
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, PlanMemory,
    ::testing::Values(std::vector<std::string>{},  // batches of many sizes
                      std::vector<std::string>{"data.packing=concatenate"},
                      std::vector<std::string>{"data.packing=concatenate", "quantize.rules=[]"},
                      std::vector<std::string>{"data.packing=concatenate", "train.activation_checkpointing=block"},
                      std::vector<std::string>{"quantize.ste=through_scale"},
                      std::vector<std::string>{"quantize.scales=dual_lsq"},
                      std::vector<std::string>{"train.adamw.moments=bf16"},
                      std::vector<std::string>{"train.parameters=[{names: '*mlp*', frozen: true}]"},
                      std::vector<std::string>{"quantize.kv_cache=fp8", "kind=qat"}));

TEST(PlanMemory, CountsTheDoublesOfAlgorithmsThatSeeInputs) {
  constexpr std::int64_t kWide = 1024;
  ModelConfig config = testing::tiny_config();
  config.intermediate_size = kWide;
  const testing::TinyRun run(config);
  const auto total = [&](const std::string& algorithm) {
    return memory_of(load_recipe(run.recipe(), {"kind=ptq", "calibrate.algorithm=" + algorithm})).total();
  };
  const std::int64_t plain = total("max"), doubles = 3 * kWide * kWide * std::int64_t{sizeof(double)};
  EXPECT_GT(total("gptq") - plain, doubles);
  EXPECT_LT(total("gptq") - plain, doubles + doubles / 2);
  EXPECT_GT(total("local_hessian") - plain, 2 * kWide * 16 * std::int64_t{sizeof(double)});
}

void expect_memory_of(const ModelConfig& config) {
  const testing::TinyRun run(config);
  const Recipe recipe = load_recipe(run.recipe(), {"loss.chunk_mebibytes=1", "train.batch_size=24",
                                                   "evaluate.batch_size=24", "data.packing=concatenate"});
  const MemoryPlan plan = memory_of(recipe);
  const auto measured = static_cast<double>(measured_bytes(recipe, {run.path("unused")}));
  EXPECT_NEAR(static_cast<double>(plan.total()) / measured, 1.0, 0.05)
      << plan.total() << " planned, " << measured << " measured";
}

TEST(PlanMemory, OfModelsWithExperts) {
  ModelConfig config = deep_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.head_dim = 16;
  config.experts = ExpertsConfig{.num_experts = 8, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
  config.experts->mlp_only_layers = {1};
  expect_memory_of(config);
}

TEST(PlanMemory, OfModelsWithBlocks) {
  ModelConfig config = deep_config();
  config.model_type = "nemotron-nas";
  config.num_hidden_layers = 4;
  config.tie_word_embeddings = false;
  config.intermediate_size = 256;
  config.blocks = {{2, 256}, {0, 256}, {4, 0}, {2, 256}};
  config.num_key_value_heads = 4;
  expect_memory_of(config);
}

// Every other answer is worth something, however it ends.
class EveryOther final : public RewardedPrompts {
 public:
  explicit EveryOther(const RewardedPrompts& prompts) : prompts_(prompts) {}
  [[nodiscard]] std::vector<std::int32_t> prompt(std::int64_t index) const override { return prompts_.prompt(index); }
  [[nodiscard]] Reward reward(std::int64_t, std::span<const std::int32_t>, bool) const override {
    right_ = !right_;
    return {right_ ? 1.0 : 0.0, right_};
  }

 private:
  const RewardedPrompts& prompts_;
  mutable bool right_ = false;
};

TEST(PlanMemory, OfAnswers) {
  ModelConfig endless = deep_config();
  endless.eos_token_id = {300};  // that it never writes: answers are as long as a plan takes them to be
  const testing::TinyRun run(endless);
  write_file_atomically(run.path("grpo.yaml"),
                        "kind: grpo\nstudent: {model: \"" + run.teacher().string() +
                            "\"}\ngrpo: {families: [symbols], prompts: 6, group_size: 4, max_new_tokens: 40, "
                            "mini_batches: 2}\ndata: {eval: {text: \"" +
                            run.path("held_out.txt").string() +
                            "\", separator: \"---\"}, sequence_length: 64}\nloss: {chunk_mebibytes: 1}\n"
                            "train: {steps: 2, batch_size: 8}\nevaluate: {batch_size: 24}\nexport: []\n");
  const Recipe recipe = load_recipe(run.path("grpo.yaml"), {});
  const MemoryPlan plan = memory_of(recipe);
  EXPECT_GT(plan.reference, 0);

  release_cached_storage();
  const auto total = [] {
    const StorageStatistics now = storage_statistics();
    return static_cast<double>(now.in_use_bytes + now.cached_bytes);
  };
  const double before = total();
  const Materials materials = load_materials(recipe, {run.path("unused")});
  const Student student = make_student(recipe, nullptr, nullptr);
  TrainerConfig config;
  config.train = recipe.train;
  const StageOfRun real = make_stage(recipe, config, materials, *student.model);
  AdamW optimizer(recipe.train.adamw, student.model->parameters());
  static_cast<void>(evaluate(*student.model, nullptr, materials.evaluation));
  const EveryOther prompts(*real.prompts);
  GrpoStage stage({*recipe.grpo, recipe.train, recipe.data.sequence_length, 1}, *student.model, *materials.reference,
                  prompts);
  for (std::int64_t step = 1; step <= 2; ++step) static_cast<void>(stage.run(step, optimizer));
  const double measured = total() - before;
  EXPECT_NEAR(static_cast<double>(plan.total()) / measured, 1.0, 0.05)
      << plan.total() << " planned, " << measured << " measured; activations " << plan.activations << ", logits "
      << plan.logits << ", working " << plan.working;
}

// The model's context ends answers before max_new_tokens does.
TEST(PlannedAnswers, EndWithTheContext) {
  ModelConfig config = deep_config();
  config.max_position_embeddings = 64;
  const testing::TinyRun run(config);
  write_file_atomically(run.path("grpo.yaml"),
                        "kind: grpo\nstudent: {model: \"" + run.teacher().string() +
                            "\"}\ngrpo: {families: [symbols], prompts: 2, group_size: 3, max_new_tokens: 1000000}\n"
                            "data: {eval: {text: \"" +
                            run.path("held_out.txt").string() +
                            "\"}, sequence_length: 64}\ntrain: {steps: 1, batch_size: 2}\nexport: []\n");
  const PlannedText text = plan_text(load_recipe(run.path("grpo.yaml"), {}));
  EXPECT_EQ(text.train_documents, 6);
  EXPECT_EQ(text.train_tokens, 6 * 64);
}

// A batch of 200 million tokens needs no memory to be planned.
TEST(PlanMemory, OfBatchesBeyondAnyMachine) {
  const testing::TinyRun run(deep_config());
  const auto planned = [&](const char* batch) {
    return memory_of(load_recipe(run.recipe(), {std::string("train.batch_size=") + batch, "data.packing=concatenate",
                                                "data.sequence_length=2048"}));
  };
  const std::int64_t before = resident_bytes_now();
  const MemoryPlan large = planned("100000"), half = planned("50000");
  EXPECT_LT(resident_bytes_now() - before, std::int64_t{1} << 30);
  EXPECT_NEAR(static_cast<double>(large.activations) / static_cast<double>(half.activations), 2.0, 0.02);
  EXPECT_GT(large.activations, std::int64_t{1} << 40);
}

TEST(PlanMemory, CheckpointedBlocksKeepLess) {
  const testing::TinyRun run(deep_config());
  const auto activations = [&](const std::vector<std::string>& overrides) {
    return memory_of(load_recipe(run.recipe(), overrides)).activations;
  };
  EXPECT_LT(activations({"train.activation_checkpointing=block"}), activations({}) / 4);
}

// Of as much as a plan counts, and twice that.
class PlanText : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] std::string source() const {
    if (GetParam() == "token_file") {
      Documents documents;
      while (documents.tokens() < 2 * kPlannedTokens) documents.add(std::vector<std::int32_t>(512, 7));
      write_token_file(documents, run_.path("long.h5"));
      return "text: null, token_file: \"" + run_.path("long.h5").string() + '"';
    }
    std::string text;
    while (text.size() < (std::size_t{1} << 26)) text += "A fox found " + std::string(500, 'x') + " keys.\n";
    const std::string file = run_.path("long.txt").string();
    write_file_atomically(file, text);
    const bool is_gzip = GetParam() == "gzip";
    if (is_gzip) {
      EXPECT_EQ(std::system(("gzip '" + file + "'").c_str()), 0);
    }
    return "text: \"" + file + (is_gzip ? ".gz" : "") + "\", separator: \"\\n\"";
  }

  testing::TinyRun run_;
};

TEST_P(PlanText, OfALongFileIsItsBeginning) {
  const std::string file = source();
  const PlannedText planned = plan_text(
      load_recipe(run_.recipe(), {"data.train={" + file + "}", "data.eval={" + file + ", skip_documents: 100000}"}));
  EXPECT_TRUE(planned.is_beginning);
  EXPECT_EQ(planned.train_tokens, kPlannedTokens);
  EXPECT_EQ(planned.eval_tokens, kPlannedTokens);  // those behind the part that is read are taken to be like it
}

INSTANTIATE_TEST_SUITE_P(Kinds, PlanText, ::testing::Values("text", "gzip", "token_file"));

std::string told_of(const std::filesystem::path& recipe, const std::vector<std::string>& overrides = {}) {
  std::ostringstream out;
  EXPECT_EQ(verbs::plan({recipe, overrides}, out), ExitCode::done);
  return out.str();
}

TEST(Plan, TellsARunAndWritesNothing) {
  const testing::TinyRun run;
  const auto recipe = run.recipe("export: [modelopt, dense]\n");
  const auto files = [&] { return std::distance(std::filesystem::recursive_directory_iterator(run.path("")), {}); };
  const auto before = files();
  // 258·32 embedding, 3 layers of 2·(32·32 + 32·16) + 3·32·64 weights and 64 norms, and a last norm of 32.
  expect_has(told_of(recipe),
             {"feed-forward", "18432", "36128", "model.layers.*.mlp.up_proj", "120 documents", "3 steps of 4 sequences",
              "2 of 423 KiB each", "export modelopt", "AdamW's moments", "peak", "student's layers", "GFLOP/s"});
  EXPECT_EQ(files(), before);
}

TEST(Plan, CountsBF16MomentsInMemoryAndCheckpoints) {
  const testing::TinyRun run;
  const auto planned = [&](const char* moments) {
    const Recipe recipe = load_recipe(run.recipe(), {std::string("train.adamw.moments=") + moments});
    const PlanSubject subject = plan_subject(recipe, plan_text(recipe));
    return std::pair(plan_memory(subject, 0), planned_files(subject));
  };
  const auto [fp32, fp32_files] = planned("fp32");
  const auto [bf16, bf16_files] = planned("bf16");
  EXPECT_EQ(fp32.moments, 8 * 36128);
  EXPECT_EQ(bf16.moments, 4 * 36128);
  EXPECT_EQ(fp32.total() - bf16.total(), 4 * 36128);
  EXPECT_EQ(fp32_files.checkpoint_bytes, 12 * 36128);
  EXPECT_EQ(bf16_files.checkpoint_bytes, 8 * 36128);
}

TEST(Plan, CountsMomentsInAFileAsThose) {
  const testing::TinyRun run;
  const auto recipe = run.recipe();
  const auto memory = [&](const std::vector<std::string>& overrides) {
    return plan_memory(plan_subject(load_recipe(recipe, overrides), plan_text(load_recipe(recipe, overrides))), 0);
  };
  const MemoryPlan in_memory = memory({}), in_file = memory({"train.adamw.moments_in=file"});
  EXPECT_EQ(in_file.moments, 8 * 258 * 32) << "those of the largest parameter, the embedding";
  EXPECT_EQ(in_memory.total() - in_file.total(), in_memory.moments - in_file.moments);
  expect_has(told_of(recipe, {"train.adamw.moments_in=file"}), {"282 KiB on the disk while it trains"});
}

TEST(Plan, OtherKinds) {
  const testing::TinyRun run;
  const auto recipe =
      run.recipe("arms:\n  - {name: ptq, kind: ptq}\n  - {name: qad, kind: qad, lr: [1.0e-4, 1.0e-3]}\n");
  expect_has(told_of(recipe, {"kind=compare"}), {"ptq", "qad", "peak memory"});
  const std::string ptq = told_of(run.recipe(), {"kind=ptq"});
  expect_has(ptq, {"held-out text", "evaluation"});
  EXPECT_EQ(ptq.find("gradients"), std::string::npos);
}

}  // namespace
}  // namespace qad
