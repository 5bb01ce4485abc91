// Models with recurrent layers: what a document's result depends on, and what they remember while they decode.
#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/ops/fused_linear_loss.h"
#include "autograd/ops/state_space_scan.h"
#include "autograd/tape/batch_invariant.h"
#include "models/families/hf_config.h"
#include "models/import/model_folder.h"
#include "tests/support/error_of.h"
#include "tests/support/hybrid_models.h"
#include "tests/support/tiny_family.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

Ids random_text(std::int64_t tokens, std::uint64_t seed) {
  Random random(seed, 1);
  Ids ids;
  for (std::int64_t t = 0; t < tokens; ++t) ids.push_back(static_cast<std::int32_t>(random.below(64)));
  return ids;
}

// Documents one behind the other.
TokenBatch packed(const std::vector<Ids>& documents) {
  TokenBatch batch;
  for (const Ids& ids : documents) {
    const TokenBatch one = testing::batch_of(ids);
    const auto begin = static_cast<std::int32_t>(batch.ids.size());
    batch.ids.insert(batch.ids.end(), one.ids.begin(), one.ids.end());
    batch.positions.insert(batch.positions.end(), one.positions.begin(), one.positions.end());
    batch.labels.insert(batch.labels.end(), one.labels.begin(), one.labels.end());
    batch.valid.insert(batch.valid.end(), one.valid.begin(), one.valid.end());
    batch.segments.push_back({begin, begin + static_cast<std::int32_t>(ids.size())});
    batch.document.push_back(static_cast<std::int32_t>(batch.document.size()));
  }
  return batch;
}

std::vector<float> hidden_of(const LanguageModel& model, const TokenBatch& batch) {
  const NoGradScope no_grad;
  const Tensor hidden = model.hidden_states(batch).value();
  return {hidden.span().begin(), hidden.span().end()};
}

// Read in pieces of these lengths, as while decoding.
std::vector<float> read_in_pieces(const LanguageModel& model, const Ids& ids, const std::vector<std::int64_t>& pieces) {
  const NoGradScope no_grad;
  const DecodingState state = model.make_state(2, std::ssize(ids));
  std::vector<float> result;
  std::int64_t cached = 0;
  for (const std::int64_t tokens : pieces) {
    TokenBatch batch;
    for (std::int64_t t = cached; t < cached + tokens; ++t) {
      batch.ids.push_back(ids[static_cast<std::size_t>(t)]);
      batch.positions.push_back(static_cast<std::int32_t>(t));
    }
    const Tensor hidden = model.hidden_states(batch, {{0, tokens, 1, cached}}, state).value();
    result.insert(result.end(), hidden.span().begin(), hidden.span().end());
    cached += tokens;
  }
  return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : 1e30;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

class Hybrids : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<LanguageModel> model_ = initialize_model(testing::small_hybrid(GetParam()), 3);
  void TearDown() override { set_threads(0); }
};

TEST_P(Hybrids, ADocumentDoesNotSeeThoseBeforeIt) {
  const Ids first = random_text(70, 1), second = random_text(131, 2), third = random_text(1, 3);
  const BatchInvariantScope invariant;  // products of other shapes may add in another order
  const std::vector<float> together = hidden_of(*model_, packed({first, second, third}));
  std::vector<float> alone;
  for (const Ids& ids : {first, second, third}) {
    const std::vector<float> one = hidden_of(*model_, packed({ids}));
    alone.insert(alone.end(), one.begin(), one.end());
  }
  EXPECT_EQ(together, alone);
}

TEST_P(Hybrids, TokenByTokenIsTheWholeForward) {
  const Ids ids = random_text(150, 4);
  const std::vector<float> whole = hidden_of(*model_, packed({ids}));
  EXPECT_LE(largest_difference(read_in_pieces(*model_, ids, std::vector<std::int64_t>(150, 1)), whole), 1e-4);
  EXPECT_LE(largest_difference(read_in_pieces(*model_, ids, {5, 60, 1, 84}), whole), 1e-4);
}

TEST_P(Hybrids, APromptCutAtChunksHasTheSameBits) {
  const BatchInvariantScope invariant;
  const Ids ids = random_text(3 * kScanChunk + 9, 5);
  EXPECT_EQ(read_in_pieces(*model_, ids, {kScanChunk, 2 * kScanChunk, 9}),
            read_in_pieces(*model_, ids, {3 * kScanChunk + 9}));
}

TEST_P(Hybrids, GradientsHaveTheSameBitsAtAnyThreadCount) {
  const TokenBatch batch = packed({random_text(90, 6), random_text(40, 7)});
  std::vector<std::vector<float>> expected;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    const auto model = trainable_copy(*model_);
    std::vector<float> weights(batch.labels.size());
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = batch.labels[i] == kNoLabel ? 0.0f : 0.01f;
    const FusedLoss loss =
        fused_linear_loss(model->hidden_states(batch), model->head().members.front().weight->operand(), nullptr,
                          batch.labels, weights, {kernels::RowLoss::cross_entropy, 1.0f, std::size_t{1} << 24});
    backward(loss.loss);
    std::vector<std::vector<float>> gradients;
    for (const ParameterPointer& parameter : model->parameters()) {
      const Tensor& gradient = parameter->variable.sink()->gradient();
      gradients.emplace_back();
      if (gradient.defined()) gradients.back().assign(gradient.span().begin(), gradient.span().end());
      const bool may_lack =
          parameter->role == Role::choice_bias || parameter->name.find(".experts.") != std::string::npos;
      EXPECT_TRUE(gradient.defined() || may_lack) << parameter->name;
    }
    if (expected.empty()) expected = gradients;
    EXPECT_EQ(gradients, expected) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Hybrids, ::testing::ValuesIn(testing::kHybrids));

// Decays and time steps are FP32 wherever they are kept: rounding a bias of -7 moves a small step by a percent.
TEST(HybridModel, KeepsDecaysInFp32) {
  const testing::TemporaryFolder folder;
  const auto made = initialize_model(testing::small_hybrid("nemotron_h"), 3);
  save_model(folder / "model", *made, DType::bf16);
  const auto loaded = load_model(folder / "model", WeightType::bf16);
  const ParameterList before = made->parameters(), after = loaded->parameters();
  int decays = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i]->role != Role::decay) continue;
    testing::expect_close(after[i]->value(), before[i]->value().span(), 0, before[i]->name);
    ++decays;
  }
  EXPECT_EQ(decays, 6);
}

std::string message_of(const std::string& type, const std::string& keys) {
  return testing::error_of([&] { (void)parse_hf_config(R"({"model_type": ")" + type + R"(", )" + keys + "}", "c"); });
}

TEST(HybridConfig, RefusesWhatItsLayersCannotBe) {
  const auto nemotron = [](const std::string& keys) { return message_of("nemotron_h", keys); };
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "MX*")"),
                           {"hybrid_override_pattern", "of M, *, E and -", "'X'"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "ME*", "num_hidden_layers": 4)"),
                           {"num_hidden_layers", "3", "got 4"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "ME", "layers_block_type": ["mamba", "mlp"])"),
                           {"layers_block_type", "ME"});
  testing::expect_mentions(nemotron(R"("layers_block_type": ["mamba", "conv"])"),
                           {"layers_block_type among mamba", "conv"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "M", "n_groups": 3)"), {"n_groups", "128", "got 3"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "E", "num_experts_per_tok": 9)"),
                           {"num_experts_per_tok", "got 9"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "M", "ssm_state_size": 2000000000)"),
                           {"mamba.state_size and mamba.head_dim whose product"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "*", "attention_bias": true)"),
                           {"attention_bias to be false"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "-", "mlp_hidden_act": "gelu")"), {"relu2"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "M", "layer_norm_epsilon": 1e-5, "norm_eps": 1e-6)"),
                           {"norm_eps as layer_norm_epsilon"});
  testing::expect_mentions(nemotron(R"("hybrid_override_pattern": "M", "time_step_limit": [0.001, 0.1])"),
                           {"time_step_limit from 0 to infinity"});
  testing::expect_mentions(message_of("mamba2", R"("hidden_size": 64, "num_heads": 8, "head_dim": 8)"),
                           {"expand", "64"});
  testing::expect_mentions(message_of("mamba2", R"("time_step_limit": [1, 0])"), {"time_step_limit"});
}

TEST(HybridConfig, RefusesListsThatDoNotNameEveryLayerOnce) {
  const auto kimi = [](const std::string& full, const std::string& kda) {
    return message_of("kimi_linear", R"("num_hidden_layers": 3, "linear_attn_config": {"full_attn_layers": )" + full +
                                         R"(, "kda_layers": )" + kda + "}");
  };
  EXPECT_EQ(kimi("[3]", "[1, 2]"), "no error");
  testing::expect_mentions(kimi("[3]", "[1]"), {"from 1", "layer 2 is in neither"});
  testing::expect_mentions(kimi("[3]", "[0, 1, 2]"), {"kda_layers", "0"});
  testing::expect_mentions(kimi("[4]", "[1, 2, 3]"), {"full_attn_layers", "num_hidden_layers, 3"});
  testing::expect_mentions(kimi("[2, 3]", "[1, 2]"), {"every layer once"});
  testing::expect_mentions(message_of("qwen3_next", R"("num_hidden_layers": 2, "layer_types": ["full_attention"])"),
                           {"2 layers", "1 letters"});
  testing::expect_mentions(message_of("qwen3_next", R"("linear_num_key_heads": 3)"), {"key heads", "32", "got 3"});
}

TEST(HybridConfig, ReadsAnInfinityHoweverItIsWritten) {
  for (const char* text : {"[0.0, Infinity]", R"([0.0, {"__float__": "Infinity"}])"}) {
    const ModelConfig config =
        parse_hf_config(R"({"model_type": "mamba2", "time_step_limit": )" + std::string(text) + "}", "c");
    EXPECT_EQ(config.mamba->time_step_high, std::numeric_limits<double>::infinity()) << text;
  }
}

}  // namespace
}  // namespace qad
