// Pruning: cuts of what does nothing change nothing, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/base/parallel.h"
#include "models/families/hf_config.h"
#include "models/prune/prune_model.h"
#include "models/prune/pruned_sizes.h"
#include "tests/support/error_of.h"
#include "tests/support/hybrid_models.h"
#include "tests/support/lively_model.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;
using testing::lively_config;
using testing::named;
using testing::two_batches;

Tensor own_logits(LanguageModel& model, const TokenBatch& batch = testing::batch_of_three(5)) {
  const NoGradScope no_grad;
  return logits_of(model, model.hidden_states(batch).value());
}

void expect_same_logits(LanguageModel& a, LanguageModel& b) {
  constexpr double tolerance = 1e-6;
  const Tensor x = own_logits(a), y = own_logits(b);
  ASSERT_EQ(x.shape(), y.shape());
  double worst = 0, largest = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(x.data()[i]) - static_cast<double>(y.data()[i])));
    largest = std::max(largest, std::abs(static_cast<double>(x.data()[i])));
  }
  EXPECT_LE(worst, tolerance * std::max(1.0, largest));
  EXPECT_GT(largest, 1e-3);
}

// Rows [begin, end) of the outermost axis, or columns of the last.
void clear_rows(LanguageModel& model, const std::string& name, std::int64_t begin, std::int64_t end) {
  Parameter& parameter = named(model, name);
  parameter.value().slice(begin, end).fill(0);
  parameter.changed();
}
void clear_cols(LanguageModel& model, const std::string& name, std::int64_t begin, std::int64_t end) {
  Parameter& parameter = named(model, name);
  const Tensor& x = parameter.value();
  for (std::int64_t r = 0; r < x.rows(); ++r)
    for (std::int64_t k = begin; k < end; ++k) x.data()[r * x.cols() + k] = 0;
  parameter.changed();
}

TEST(Prune, HasTheSameBitsAtAnyNumberOfThreads) {
  const auto model = initialize_model(lively_config(), 3);
  PruneConfig prune;
  prune.hidden_size = 16, prune.intermediate_size = 32, prune.num_hidden_layers = 3;
  set_threads(1);
  const auto alone = prune_model(*model, prune, two_batches(), 1);
  set_threads(3);
  const auto many = prune_model(*model, prune, two_batches(), 1);
  set_threads(0);
  const ParameterList a = alone->parameters(), b = many->parameters();
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(a[i]->value().span(), b[i]->value().span())) << a[i]->name;
}

TEST(Prune, UnitsThatDoNothingGo) {
  const auto model = initialize_model(lively_config(), 4);
  clear_rows(*model, "model.layers.0.mlp.gate_proj.weight", 8, 24);
  for (const int layer : {1, 2, 3})
    clear_rows(*model, "model.layers." + std::to_string(layer) + ".mlp.up_proj.weight", 20, 36);
  PruneConfig prune;
  prune.intermediate_size = 32;
  const auto small = prune_model(*model, prune, two_batches(), 1);
  EXPECT_EQ(small->config().intermediate_size, 32);
  expect_same_logits(*model, *small);
}

TEST(Prune, LayersThatDoNothingGoWhereverTheyStand) {
  const auto model = initialize_model(lively_config(), 5);
  for (const char* layer : {"model.layers.0", "model.layers.2"})
    for (const char* projection : {".self_attn.o_proj.weight", ".mlp.down_proj.weight"})
      clear_rows(*model, std::string(layer) + projection, 0, 32);
  PruneConfig prune;
  prune.num_hidden_layers = 2;
  const auto small = prune_model(*model, prune, two_batches(), 1);
  expect_same_logits(*model, *small);
  EXPECT_EQ(small->parameters()[1]->name, "model.layers.0.input_layernorm.weight");
}

class PruneHybrid : public ::testing::Test {
 protected:
  PruneHybrid() {
    config_ = testing::small_hybrid("nemotron_h");
    config_.rms_norm_eps = 1e-12;
    model_ = initialize_model(config_, 9);
  }
  ModelConfig config_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_F(PruneHybrid, NamedLayersStayWhateverTheirKind) {
  for (const char* name : {"backbone.layers.1.mixer.experts.", "backbone.layers.1.mixer.shared_experts."})
    for (const ParameterPointer& parameter : model_->parameters())
      if (parameter->name.starts_with(name) && parameter->name.ends_with("down_proj.weight"))
        clear_rows(*model_, parameter->name, 0, 64);
  clear_rows(*model_, "backbone.layers.3.mixer.o_proj.weight", 0, 64);
  PruneConfig prune;
  prune.layers = {0, 2, 4};
  const auto small = prune_model(*model_, prune, two_batches(), 1);
  EXPECT_EQ(small->config().layer_pattern, "MM-");
  expect_same_logits(*model_, *small);
}

TEST(Prune, BlocksThatDifferStayByName) {
  ModelConfig config = lively_config();
  config.model_type = "nemotron-nas";
  config.tie_word_embeddings = false;
  config.num_key_value_heads = 4;
  config.intermediate_size = 512;
  config.blocks = {{2, 256}, {0, 512}, {4, 0}, {1, 256}};
  const auto model = initialize_model(config, 5);
  clear_rows(*model, "model.layers.1.mlp.down_proj.weight", 0, 32);
  clear_rows(*model, "model.layers.2.self_attn.o_proj.weight", 0, 32);
  PruneConfig prune;
  prune.layers = {0, 3};
  const auto small = prune_model(*model, prune, two_batches(), 1);
  EXPECT_EQ(small->config().num_key_value_heads, 2);
  expect_same_logits(*model, *small);
}

TEST(Prune, NamedLayersCarryWhatTheConfigSaysOfThem) {
  ModelConfig config = testing::small_config();
  config.num_hidden_layers = 6;
  config.num_key_value_heads = 4;
  config.model_type = "deepseek_v2";
  config.experts =
      ExpertsConfig{.num_experts = 4, .moe_intermediate_size = 16, .norm_topk_prob = false, .first_k_dense_replace = 2};
  config.latent_attention = LatentAttentionConfig{};
  config.head_dim = 16;
  const ModelConfig cut = pruned_config(config, {.layers = {1, 3, 5}});
  EXPECT_EQ(cut.num_hidden_layers, 3);
  EXPECT_EQ(cut.experts->first_k_dense_replace, 1);
  config = testing::small_config();
  config.num_hidden_layers = 6;
  config.model_type = "qwen2";
  config.attention_bias = true;
  config.sliding_window = 8, config.max_window_layers = 4;
  EXPECT_EQ(pruned_config(config, {.layers = {0, 3, 5}}).max_window_layers, 2);
}

TEST(Prune, ExpertsNarrowWhereOneKeySaysTheWidthOfAll) {
  ModelConfig config = testing::small_config();
  config.model_type = "mixtral";
  config.experts = ExpertsConfig{.num_experts = 4, .num_experts_per_tok = 2, .moe_intermediate_size = 48};
  config.experts->norm_topk_prob = true;
  const ModelConfig cut = pruned_config(config, {.moe_intermediate_size = 16});
  EXPECT_EQ(cut.experts->moe_intermediate_size, 16);
  EXPECT_EQ(cut.intermediate_size, 16);
  EXPECT_EQ(error_of([&] { check_expressible(cut, "prune"); }), "no error");
}

TEST(Prune, KeyValueHeadsThatDoNothingGoWithTheirQueries) {
  ModelConfig config = lively_config();
  config.head_dim = 16;
  config.qk_norm = true;
  config.model_type = "qwen3";
  const auto model = initialize_model(config, 6);
  for (int i = 0; i < 4; ++i) {
    const std::int64_t group = i % 2;
    clear_rows(*model, "model.layers." + std::to_string(i) + ".self_attn.v_proj.weight", 16 * group, 16 * group + 16);
  }
  PruneConfig prune;
  prune.num_key_value_heads = 1, prune.num_attention_heads = 2;
  const auto small = prune_model(*model, prune, two_batches(), 1);
  EXPECT_EQ(small->config().head_dim, 16);
  expect_same_logits(*model, *small);
}

TEST(Prune, QueryHeadsGoInsideTheirGroup) {
  ModelConfig config = lively_config();
  config.attention_bias = config.attention_output_bias = true;
  const auto model = initialize_model(config, 7);
  const auto importance = importance_of(*model, two_batches());
  ModelConfig target = config;
  target.num_attention_heads = 2, target.head_dim = 8;
  const Kept kept = choose_kept(config, target, importance, "m");
  for (const KeptInBlock& block : kept.blocks) {
    EXPECT_EQ(block.key_value_heads, (Indices{0, 1}));
    ASSERT_EQ(block.heads.size(), 2u);
    EXPECT_TRUE(block.heads[0] < 2 && block.heads[1] >= 2);
  }
  // What goes adds nothing once its columns are zero.
  for (std::size_t i = 0; i < kept.blocks.size(); ++i)
    for (std::int64_t head = 0; head < 4; ++head)
      if (std::ranges::count(kept.blocks[i].heads, head) == 0)
        clear_cols(*model, "model.layers." + std::to_string(i) + ".self_attn.o_proj.weight", 8 * head, 8 * head + 8);
  expect_same_logits(*model, *cut_model(*model, target, kept, importance));
}

// Channels [begin, end) of the residual stream are zero everywhere.
void clear_channels(LanguageModel& model, std::int64_t begin, std::int64_t end) {
  clear_cols(model, model.parameters().front()->name, begin, end);
  struct Collector final : ModuleVisitor {
    void group(LinearGroup& group) override {
      for (const Linear& member : group.members) found.push_back(member.weight->name);
    }
    std::vector<std::string> found;
  } linears;
  model.visit(linears);
  for (const std::string& name : linears.found)
    if (named(model, name).shape().rows() == model.config().hidden_size) clear_rows(model, name, begin, end);
}

TEST(Prune, HiddenChannelsThatAreZeroGo) {
  for (const bool tied : {true, false}) {
    ModelConfig config = lively_config();
    config.tie_word_embeddings = tied;
    const auto model = initialize_model(config, 8);
    for (std::int64_t k = 0; k < 32; ++k)
      named(*model, "model.layers.1.input_layernorm.weight").value().data()[k] = 0.5f + 0.02f * static_cast<float>(k);
    // q is square here: what it makes does not go to the stream.
    const Tensor q = named(*model, "model.layers.0.self_attn.q_proj.weight").value().clone();
    clear_channels(*model, 4, 20);
    named(*model, "model.layers.0.self_attn.q_proj.weight").value().copy_from(q);
    PruneConfig prune;
    prune.hidden_size = 16;
    const auto small = prune_model(*model, prune, two_batches(), 1);
    EXPECT_EQ(small->config().head_size(), 8);
    expect_same_logits(*model, *small);
  }
}

TEST_F(PruneHybrid, ExpertsThatNobodyAsksGo) {
  Parameter& bias = named(*model_, "backbone.layers.1.mixer.gate.e_score_correction_bias");
  bias.value().data()[0] = bias.value().data()[3] = -100;
  bias.changed();
  PruneConfig prune;
  prune.num_experts = 4;
  const auto importance = importance_of(*model_, two_batches());
  EXPECT_EQ(importance.blocks[1].experts[0], 0);
  EXPECT_EQ(importance.blocks[1].experts[3], 0);
  const auto small = prune_model(*model_, prune, two_batches(), 1);
  expect_same_logits(*model_, *small);
  EXPECT_EQ(small->config().experts->num_experts, 4);
}

TEST_F(PruneHybrid, UnitsOfExpertsAndOfLayersThatDoNothingGo) {
  for (int e = 0; e < 6; ++e)
    clear_rows(*model_, "backbone.layers.1.mixer.experts." + std::to_string(e) + ".up_proj.weight", e, 16 + e);
  clear_rows(*model_, "backbone.layers.4.mixer.up_proj.weight", 3, 35);
  PruneConfig prune;
  prune.moe_intermediate_size = 16, prune.intermediate_size = 32;
  expect_same_logits(*model_, *prune_model(*model_, prune, two_batches(), 1));
}

TEST_F(PruneHybrid, MambaHeadsThatDoNothingGoFromEachGroup) {
  // Heads 1, 2 of the first group of four and 4, 7 of the second: their x is zero.
  for (const int layer : {0, 2})
    for (const std::int64_t head : {1, 2, 4, 7}) {
      const std::string mixer = "backbone.layers." + std::to_string(layer) + ".mixer.";
      clear_rows(*model_, mixer + "in_proj.weight", 128 + 16 * head, 128 + 16 * head + 16);
      clear_rows(*model_, mixer + "conv1d.bias", 16 * head, 16 * head + 16);
    }
  PruneConfig prune;
  prune.mamba_num_heads = 4;
  const auto small = prune_model(*model_, prune, two_batches(), 1);
  EXPECT_EQ(small->config().mamba->num_heads, 4);
  expect_same_logits(*model_, *small);
}

TEST_F(PruneHybrid, HiddenChannelsThatAreZeroGo) {
  clear_channels(*model_, 8, 40);
  const auto copy = initialize_model(config_, 9);
  for (const char* name : {"backbone.layers.3.mixer.q_proj.weight", "backbone.layers.3.mixer.k_proj.weight",
                           "backbone.layers.3.mixer.v_proj.weight", "backbone.layers.4.mixer.up_proj.weight"})
    named(*model_, name).value().copy_from(named(*copy, name).value());
  PruneConfig prune;
  prune.hidden_size = 32;
  expect_same_logits(*model_, *prune_model(*model_, prune, two_batches(), 1));
}

TEST(Prune, RandomAndFreshAreDrawnWithTheSeed) {
  const auto model = initialize_model(lively_config(), 3);
  PruneConfig prune;
  prune.intermediate_size = 16;
  for (const PruneMethod method : {PruneMethod::random, PruneMethod::fresh}) {
    prune.method = method;
    const Tensor one = own_logits(*prune_model(*model, prune, two_batches(), 1));
    const Tensor again = own_logits(*prune_model(*model, prune, two_batches(), 1));
    const Tensor other = own_logits(*prune_model(*model, prune, two_batches(), 2));
    EXPECT_TRUE(std::ranges::equal(one.span(), again.span()));
    EXPECT_FALSE(std::ranges::equal(one.span(), other.span()));
  }
}

std::string refusal(const ModelConfig& config, const PruneConfig& prune) {
  return error_of([&] { static_cast<void>(pruned_config(config, prune)); });
}

TEST(Prune, RefusesSizesByName) {
  const ModelConfig config = testing::small_config();
  EXPECT_EQ(refusal(config, {.hidden_size = 20}),
            "prune.hidden_size: expected a multiple of 16 (prune.multiple), got 20 (the nearest are 16 and 32)");
  EXPECT_EQ(refusal(config, {.intermediate_size = 64}),
            "prune.intermediate_size: expected at most the model's own 48, got 64 (pruning makes nothing wider)");
  EXPECT_EQ(refusal(config, {.num_hidden_layers = 3}),
            "prune.num_hidden_layers: expected at most the model's own 2, got 3 (pruning makes nothing wider)");
  expect_mentions(refusal(config, {.num_attention_heads = 3}),
                  {"prune.num_attention_heads: expected a multiple of 2 (", "got 3 (the nearest are 2 and 4)"});
  expect_mentions(refusal(config, {.num_attention_heads = 2, .multiple = 32}), {"a multiple of 4 ("});
  expect_mentions(refusal(config, {.num_key_value_heads = 1}),
                  {"prune.num_attention_heads: expected at most the 2 of 1 key/value heads, got none"});
  expect_mentions(refusal(config, {.num_experts = 2}), {"prune.num_experts: expected no size for a model with no exp"});
  expect_mentions(refusal(config, {.mamba_num_heads = 2}), {"a model with no Mamba-2 layers"});
  EXPECT_EQ(refusal(config, {.layers = {1, 0}}),
            "prune.layers: expected layers from 0 to 1 in their order, each once, got 1, 0");
  expect_mentions(refusal(config, {.layers = {2}}), {"prune.layers: expected layers from 0 to 1"});
  expect_mentions(refusal(config, {.num_hidden_layers = 1, .layers = {1}}), {"none beside prune.layers, got 1"});
  EXPECT_EQ(refusal(config, {}), "prune: expected a size, such as intermediate_size, got none");
  EXPECT_EQ(refusal(config, {.intermediate_size = 24, .multiple = 8}), "no error");
  const ModelConfig hybrid = testing::small_hybrid("nemotron_h");
  expect_mentions(refusal(hybrid, {.num_hidden_layers = 4}), {"layers of several kinds"});
  expect_mentions(refusal(hybrid, {.num_experts = 1}), {"num_experts_per_tok of at most num_experts = 1, got 2"});
  expect_mentions(refusal(testing::small_hybrid("kimi_linear"), {.hidden_size = 32}), {"latent attention"});
  expect_mentions(refusal(testing::small_hybrid("qwen3_next"), {.hidden_size = 32}), {"linear attention"});
}

TEST(Prune, RefusesScoresThatTellNothing) {
  const auto model = initialize_model(lively_config(), 3);
  model->label = "the model";
  PruneConfig prune;
  prune.intermediate_size = 32;
  for (int layer = 0; layer < 4; ++layer)
    clear_rows(*model, "model.layers." + std::to_string(layer) + ".mlp.up_proj.weight", 0, 48);
  const auto refused = [&] {
    return error_of([&] { static_cast<void>(prune_model(*model, prune, two_batches(), 1)); });
  };
  expect_mentions(refused(), {"the model: expected activations that tell its feed-forward units apart, got the same"});
  prune.method = PruneMethod::random;
  EXPECT_EQ(refused(), "no error");
  Importance importance = importance_of(*model, two_batches());
  importance.blocks[2].units[7] = std::nan("");
  ModelConfig target = model->config();
  target.intermediate_size = 32;
  expect_mentions(error_of([&] { static_cast<void>(choose_kept(model->config(), target, importance, "m")); }),
                  {"m: layer 2: expected finite activations"});
  named(*model, "model.embed_tokens.weight").value().fill(std::nanf(""));
  expect_mentions(refused(), {"the model: "});
}

}  // namespace
}  // namespace qad
