// Families against transformers: logits, hidden states, gradients, decoding, both dialects of config.json.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "autograd/ops/fused_linear_loss.h"
#include "data/files/safetensors.h"
#include "models/decode/generate.h"
#include "models/families/hf_config.h"
#include "tests/support/error_of.h"
#include "tests/support/tiny_family.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::batch_of;
using testing::expect_close;
using testing::TinyFamily;

using Names = std::vector<std::pair<std::string, std::string>>;

struct Tiny {
  const char* folder;
  Names in_memory{};  // how transformers names in memory what is stored under another name: old and new, in order
  std::size_t first_hidden = 0;  // hidden states start with what went through so many blocks
  bool is_shared = true;         // false: only there if somebody made it beside the shared ones
};
void PrintTo(const Tiny& tiny, std::ostream* out) { *out << tiny.folder; }

class TinyFamilies : public ::testing::TestWithParam<Tiny> {
 protected:
  TinyFamily family_{GetParam().folder};

  void SetUp() override {
    if (!GetParam().is_shared && !fs::exists(family_.folder())) GTEST_SKIP() << "nobody made " << family_.folder();
    QAD_REQUIRE_SHARED_DATA();
  }

  [[nodiscard]] static std::string in_memory(std::string name) {
    for (const auto& [from, to] : GetParam().in_memory)
      if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
    return name;
  }
};

// A parameter's gradient among those of transformers, which stacks experts ([experts, gate rows and then up rows, in])
// and the convolutions of queries, keys and values.
std::vector<float> expected_gradient(const SafetensorsFile& file, const Parameter& parameter, const std::string& name) {
  const auto size = static_cast<std::size_t>(parameter.value().size());
  const auto part = [&](const std::string& stacked, std::size_t place) {
    const auto values = file.tensor(stacked).span().subspan(place * size, size);
    return std::vector<float>(values.begin(), values.end());
  };
  for (const std::size_t i : {0u, 1u, 2u}) {
    const std::string own = std::string(".") + "qkv"[i] + "_conv1d.";
    if (const auto at = name.find(own); at != std::string::npos)
      return part(std::string(name).replace(at, own.size(), ".conv1d."), i);
  }
  constexpr std::string_view kExperts = ".experts.";
  const auto experts = name.find(kExperts);
  if (experts == std::string::npos) return part(name, 0);
  const std::size_t number = experts + kExperts.size();
  const auto e = static_cast<std::size_t>(std::stoi(name.substr(number)));
  const std::string layer = name.substr(0, number);
  if (name.ends_with("down_proj.weight")) return part(layer + "down_proj", e);
  if (file.has(layer + "up_proj")) return part(layer + "up_proj", e);
  return part(layer + "gate_up_proj", 2 * e + (name.ends_with("up_proj.weight") ? 1 : 0));
}

TEST_P(TinyFamilies, LogitsAndHiddenStates) {
  const auto model = load_model(family_.folder(), WeightType::file);
  const auto prompts = family_.prompts();
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    const NoGradScope no_grad;
    const TokenBatch batch = batch_of(prompts[p]);
    const std::vector<float> hidden = family_.numbers("hidden-" + std::to_string(p) + ".npy");
    const ForwardPlan plan = LanguageModel::plan_of(batch);
    std::vector<Variable> states = {model->embed(batch)};
    for (const Block& block : model->blocks()) states.push_back(block(states.back(), plan, nullptr));
    if (GetParam().first_hidden == 0) states.pop_back();
    states.push_back(model->finish(model->blocks().back()(states[model->blocks().size() - 1], plan, nullptr)));
    states.erase(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(GetParam().first_hidden));
    const std::size_t size = hidden.size() / states.size();
    for (std::size_t i = 0; i < states.size(); ++i)
      expect_close(states[i].value(), std::span(hidden).subspan(i * size, size), 1e-4, "state " + std::to_string(i));
    expect_close(logits_of(*model, model->hidden_states(batch).value()),
                 family_.numbers("logits-" + std::to_string(p) + ".npy"), 1e-4, "logits");
  }
}

TEST_P(TinyFamilies, Gradients) {
  const auto model = trainable_copy(*load_model(family_.folder(), WeightType::f32));
  const TokenBatch batch = batch_of(family_.prompts().back());
  const auto count = static_cast<float>(batch.size() - 1);
  std::vector<float> weights(batch.labels.size(), 1.0f / count);
  weights.back() = 0;
  const FusedLoss loss =
      fused_linear_loss(model->hidden_states(batch), model->head().members.front().weight->operand(), nullptr,
                        batch.labels, weights, {kernels::RowLoss::cross_entropy, 1.0f, std::size_t{1} << 24});
  backward(loss.loss);
  const SafetensorsFile file(family_.reference("grads.safetensors"));
  std::size_t compared = 0;
  for (const ParameterPointer& parameter : model->parameters()) {
    const std::string name = in_memory(parameter->name);
    if (parameter->role == Role::choice_bias) {
      EXPECT_FALSE(parameter->variable.sink()->gradient().defined()) << name;
      continue;
    }
    const Tensor& gradient = parameter->variable.sink()->gradient();
    const Tensor own = gradient.defined() ? gradient : Tensor::zeros(parameter->value().shape());
    expect_close(own, expected_gradient(file, *parameter, name), 1e-4, name);
    ++compared;
  }
  EXPECT_GT(compared, 25u);
}

TEST_P(TinyFamilies, DecodesWhatItsWholeForwardSays) {
  const auto model = load_model(family_.folder(), WeightType::file);
  const std::vector<std::int32_t> prompt = family_.prompts()[1], expected = family_.greedy();
  GenerateConfig config;
  config.max_tokens = 0;
  config.max_new_tokens = static_cast<std::int64_t>(expected.size());
  config.stop_at_eos = false;
  const auto texts = generate(*model, {prompt}, config);
  EXPECT_TRUE(std::ranges::equal(texts.front().continuation(), expected));
}

TEST_P(TinyFamilies, BothDialectsOfItsConfigAreOneModel) {
  if (!fs::exists(family_.folder() / "config.v5.json")) GTEST_SKIP() << "transformers has no class of it";
  const auto read = [&](const char* name) {
    return parse_hf_config(read_file(family_.folder() / name, "a config"), name);
  };
  const ModelConfig published = read("config.json"), own = read("config.v5.json");
  EXPECT_EQ(to_hf_config(published, "bfloat16"), to_hf_config(own, "bfloat16"));
  EXPECT_EQ(to_hf_config(parse_hf_config(to_hf_config(own, "bfloat16"), "c"), "bfloat16"),
            to_hf_config(own, "bfloat16"));
}

TEST_P(TinyFamilies, SavedAndLoadedItIsTheSame) {
  const testing::TemporaryFolder folder;
  const auto model = load_model(family_.folder(), WeightType::file);
  save_model(folder / "model", *model, DType::bf16);
  const auto loaded = load_model(folder / "model", WeightType::file);
  const auto logits = [&](LanguageModel& one) {
    const NoGradScope no_grad;
    return logits_of(one, one.hidden_states(batch_of(family_.prompts()[2])).value());
  };
  expect_close(logits(*loaded), logits(*model).span(), 0, "logits");
}

const Names kMixtralNames = {
    {".block_sparse_moe.", ".mlp."}, {".w1.", ".gate_proj."}, {".w2.", ".down_proj."}, {".w3.", ".up_proj."}};
const Names kBackboneNames = {{"backbone.", "model."}};
const Names kKimiNames = [] {
  Names names = kMixtralNames;
  for (const char* one : {".A_log", ".dt_bias", ".f_a_proj", ".f_b_proj"})
    names.emplace_back(std::string(".self_attn") + one, std::string(".self_attn.forget_gate") + one);
  return names;
}();

INSTANTIATE_TEST_SUITE_P(Families, TinyFamilies,
                         ::testing::Values(Tiny{"qwen3-moe"}, Tiny{"deepseek-v3"}, Tiny{"mixtral", kMixtralNames},
                                           Tiny{"mamba2", {}, 1}, Tiny{"nemotron-nano-v2", kBackboneNames},
                                           Tiny{"nemotron-3-nano", kBackboneNames}, Tiny{"kimi-linear", kKimiNames},
                                           Tiny{"qwen3-next"}, Tiny{"nemotron-3-super", kBackboneNames, 0, false},
                                           Tiny{"qwen3-5", {}, 0, false}, Tiny{"qwen3-5-moe", {}, 0, false},
                                           Tiny{"deepseek-v2", {}, 0, false}, Tiny{"deepseek-v2-lite", {}, 0, false},
                                           Tiny{"deepseek-v3-yarn", {}, 0, false}, Tiny{"decilm", {}, 0, false},
                                           Tiny{"decilm-linear", {}, 0, false}),
                         [](const auto& tiny) {
                           std::string name = tiny.param.folder;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Qwen3MoeConfig, SaysWhichLayersHaveExperts) {
  QAD_REQUIRE_SHARED_DATA();
  const TinyFamily family("qwen3-moe");
  const ModelConfig config = parse_hf_config(read_file(family.folder() / "config.json", "a config"), "config.json");
  ASSERT_TRUE(config.experts);
  EXPECT_TRUE(config.experts->has_layer(0));
  EXPECT_FALSE(config.experts->has_layer(1));
}

TEST(MixtralConfig, HasTheDefaultsOfItsClass) {
  const ModelConfig config = parse_hf_config(R"({"model_type": "mixtral"})", "c");
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.sliding_window, 0);
  ASSERT_TRUE(config.experts);
  EXPECT_EQ(config.experts->num_experts, 8);
  EXPECT_EQ(config.experts->num_experts_per_tok, 2);
  EXPECT_EQ(config.experts->moe_intermediate_size, 14336);
  EXPECT_TRUE(config.experts->norm_topk_prob);
}

TEST(MixtralConfig, KeepsItsWindow) {
  const ModelConfig config =
      parse_hf_config(R"({"model_type": "mixtral", "sliding_window": 64, "rope_theta": 5e5})", "c");
  EXPECT_EQ(config.sliding_window, 64);
  EXPECT_EQ(config.rope_theta, 5e5);
  EXPECT_EQ(parse_hf_config(to_hf_config(config, "bfloat16"), "c").sliding_window, 64);
}

TEST(MixtralConfig, RefusesMoreExpertsATokenThanThereAre) {
  testing::expect_mentions(testing::error_of([] {
                             (void)parse_hf_config(
                                 R"({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 5})", "c");
                           }),
                           {"num_experts_per_tok", "got 5"});
}

TEST(DeepseekConfig, RefusesWhatIsNotHere) {
  const auto message = [](const std::string& family, const std::string& keys) {
    return testing::error_of([&] {
      (void)parse_hf_config(R"({"model_type": ")" + family + R"(", "num_experts_per_tok": 2, )" + keys + "}", "c");
    });
  };
  testing::expect_mentions(message("deepseek_v3", R"("scoring_func": "softmax")"), {"scoring_func to be sigmoid"});
  testing::expect_mentions(message("deepseek_v3", R"("topk_method": "greedy")"), {"topk_method to be noaux_tc"});
  testing::expect_mentions(message("deepseek_v3", R"("n_group": 7)"), {"n_group that divides", "256", "got 7"});
  testing::expect_mentions(message("deepseek_v3", R"("topk_group": 9)"), {"topk_group of at most n_group = 8"});
  testing::expect_mentions(message("deepseek_v3", R"("n_routed_experts": 8, "topk_group": 1)"),
                           {"num_experts_per_tok of at most 1", "got 2"});
  testing::expect_mentions(message("deepseek_v3", R"("rope_interleave": false)"), {"rope_interleave to be true"});
  testing::expect_mentions(message("deepseek_v3", R"("attention_bias": true)"), {"attention_bias to be false"});
  testing::expect_mentions(message("deepseek_v3", R"("moe_layer_freq": 2)"), {"moe_layer_freq to be 1", "got 2"});
  testing::expect_mentions(message("deepseek_v2", R"("topk_method": "noaux_tc")"), {"topk_method", "noaux_tc"});
  testing::expect_mentions(message("deepseek_v2", R"("scoring_func": "sigmoid")"), {"scoring_func to be softmax"});
  testing::expect_mentions(testing::error_of([] { (void)parse_hf_config(R"({"model_type": "deepseek_v2"})", "c"); }),
                           {"a number for num_experts_per_tok"});
}

TEST(DeepseekConfig, KeepsBothScalesOfYarn) {
  const ModelConfig config = parse_hf_config(
      R"({"model_type": "deepseek_v3", "rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0,
          "mscale_all_dim": 0.7, "original_max_position_embeddings": 4096}})",
      "c");
  EXPECT_EQ(config.rope_scaling.mscale_all_dim, 0.7);
  const ModelConfig again = parse_hf_config(to_hf_config(config, "bfloat16"), "c");
  EXPECT_EQ(again.rope_scaling, config.rope_scaling);
  EXPECT_EQ(again.latent_attention, config.latent_attention);
}

// The bias of the choice is FP32 wherever it is: rounding it would send tokens elsewhere.
TEST(DeepseekModel, KeepsTheBiasOfItsChoiceInFp32) {
  QAD_REQUIRE_SHARED_DATA();
  const TinyFamily family("deepseek-v3");
  const testing::TemporaryFolder folder;
  save_model(folder / "model", *load_model(family.folder(), WeightType::bf16), DType::bf16);
  const SafetensorsFile before(family.folder() / "model.safetensors"), after(folder / "model" / "model.safetensors");
  const std::string name = "model.layers.2.mlp.gate.e_score_correction_bias";
  EXPECT_EQ(after.info(name).dtype, "F32");
  expect_close(after.tensor(name), before.tensor(name).span(), 0, name);
}

TEST(Qwen3MoeConfig, RefusesWhatDisagrees) {
  const auto message = [](const std::string& keys) {
    return testing::error_of([&] { (void)parse_hf_config(R"({"model_type": "qwen3_moe", )" + keys + "}", "c"); });
  };
  testing::expect_mentions(message(R"("num_experts": 4, "num_local_experts": 8)"),
                           {"c: expected as many num_experts as num_local_experts", "got 4"});
  testing::expect_mentions(message(R"("num_experts": 4, "num_experts_per_tok": 5)"), {"num_experts_per_tok", "got 5"});
  testing::expect_mentions(message(R"("decoder_sparse_step": 0)"), {"decoder_sparse_step"});
}

}  // namespace
}  // namespace qad
