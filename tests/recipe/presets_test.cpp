// Presets for models with experts and hybrids: which layer gets which formats, on the tiny models that are there and on
// shapes of those that are not.
#include <gtest/gtest.h>

#include "models/families/hf_config.h"
#include "qad/quant/layer_refusals.h"
#include "qad/quant/policy.h"
#include "qad/recipe/recipe.h"
#include "tests/support/tiny_family.h"

namespace qad {
namespace {

QuantizeConfig preset(const std::string& name) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "r.yaml", "imports: [presets/" + name +
                                               "]\nkind: qad\nteacher: {model: somewhere}\n"
                                               "data: {train: {text: a}, eval: {text: b}}\n");
  return load_recipe(folder / "r.yaml").quantize;
}

// "nvfp4/nvfp4", weights and inputs.
std::string formats(const Policy& policy, const LinearShape& layer) {
  const LayerFormats found = policy(layer);
  return std::string(name_of(found.weights)) + "/" + std::string(name_of(found.inputs));
}

class Preset {
 public:
  explicit Preset(const std::string& name) : quantize_(preset(name)), policy_(quantize_) {}

  /// Of a layer that is nowhere yet.
  [[nodiscard]] std::string of(const std::string& name, ModuleKind kind, std::vector<ModuleKind> next = {}) const {
    return formats(policy_, {.name = name, .kind = kind, .next = std::move(next)});
  }
  /// Of all layers of a tiny model, which it must fit, by name with * for numbers.
  [[nodiscard]] std::map<std::string, std::string> of_model(const std::string& family) const {
    const auto layers = linear_shapes(read_hf_config(testing::shared_data() / "tiny-families" / family));
    for (const Refusal& refusal : quantize_refusals(layers, quantize_)) ADD_FAILURE() << Error(refusal.problem).what();
    std::map<std::string, std::string> found;
    for (const LinearShape& layer : layers) {
      const auto [same, fresh] = found.emplace(pattern_of(layer.name), formats(policy_, layer));
      EXPECT_EQ(same->second, formats(policy_, layer)) << layer.name;
    }
    return found;
  }
  [[nodiscard]] const QuantizeConfig& quantize() const { return quantize_; }

 private:
  QuantizeConfig quantize_;
  Policy policy_;
};

using enum ModuleKind;
constexpr const char *kPlain = "none/none", *kFour = "nvfp4/nvfp4", *kEight = "fp8/fp8";

TEST(Presets, KeepAttentionAndTheMambaLayerBeforeIt) {
  const Preset preset("nemotron3_nano_nvfp4");
  // "MEM*E": one part a layer.
  EXPECT_EQ(preset.of("backbone.layers.0.mixer.in_proj", mamba, {experts, shared_experts}), kFour);
  EXPECT_EQ(preset.of("backbone.layers.1.mixer.experts.0.up_proj", experts, {mamba}), kFour);
  EXPECT_EQ(preset.of("backbone.layers.1.mixer.shared_experts.up_proj", shared_experts, {mamba}), kFour);
  EXPECT_EQ(preset.of("backbone.layers.2.mixer.in_proj", mamba, {attention}), kPlain);
  EXPECT_EQ(preset.of("backbone.layers.2.mixer.out_proj", mamba, {attention}), kPlain);
  EXPECT_EQ(preset.of("backbone.layers.3.mixer.q_proj", attention, {experts, shared_experts}), kPlain);
  EXPECT_EQ(preset.of("backbone.layers.4.mixer.experts.7.down_proj", experts, {head}), kFour);
  EXPECT_EQ(preset.of("lm_head", head), kPlain);
  EXPECT_EQ(preset.quantize().kv_cache, "fp8");
}

TEST(Presets, MixFourAndEightBits) {
  const Preset preset("nemotron3_super_mixed");
  EXPECT_EQ(preset.of("backbone.layers.0.mixer.in_proj", mamba, {attention}), kEight);
  EXPECT_EQ(preset.of("backbone.layers.1.mixer.experts.0.up_proj", experts), kFour);
  EXPECT_EQ(preset.of("backbone.layers.1.mixer.shared_experts.up_proj", shared_experts), kEight);
  EXPECT_EQ(preset.of("backbone.layers.1.mixer.fc1_latent_proj", experts), kPlain);
  EXPECT_EQ(preset.of("backbone.layers.3.mixer.o_proj", attention), kPlain);
  EXPECT_EQ(preset.of("lm_head", head), kPlain);
  EXPECT_EQ(preset.quantize().kv_cache, "fp8");
}

TEST(Presets, LeaveGatesOfLinearAttention) {
  const Preset kimi("kimi_linear_nvfp4");
  const auto kda = [&](const std::string& name) {
    return kimi.of("model.layers.0.self_attn." + name, linear_attention, {linear_attention, feed_forward});
  };
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) EXPECT_EQ(kda(name), kFour) << name;
  for (const char* name : {"f_a_proj", "f_b_proj", "g_a_proj", "g_b_proj", "b_proj"})
    EXPECT_EQ(kda(name), kPlain) << name;
  EXPECT_EQ(kimi.of("model.layers.3.self_attn.kv_b_proj", attention), kPlain);
  EXPECT_EQ(kimi.of("model.layers.3.self_attn.o_proj", attention), kFour);

  const Preset qwen("qwen3_5_nvfp4");
  const auto delta = [&](const std::string& name) {
    return qwen.of("model.layers.0.linear_attn." + name, linear_attention, {attention});
  };
  for (const char* name : {"in_proj_qkv", "in_proj_qkvz", "in_proj_z", "out_proj"})
    EXPECT_EQ(delta(name), kEight) << name;
  for (const char* name : {"in_proj_a", "in_proj_b", "in_proj_ba"}) EXPECT_EQ(delta(name), kPlain) << name;
  EXPECT_EQ(qwen.of("model.layers.3.self_attn.q_proj", attention), kEight);
  EXPECT_EQ(qwen.of("model.layers.3.mlp.down_proj", feed_forward), kFour);
  EXPECT_EQ(qwen.of("model.layers.3.mlp.shared_expert.up_proj", shared_experts), kEight);
  EXPECT_EQ(qwen.of("model.layers.3.mlp.shared_expert_gate", shared_experts), kPlain);
  EXPECT_EQ(qwen.quantize().kv_cache, "fp8");
}

using Table = std::map<std::string, std::string>;

TEST(Presets, FitTheTinyModels) {
  QAD_REQUIRE_SHARED_DATA();
  const std::string layer = "model.layers.*.";
  const auto latent = [&](const char* own, const char* output, const char* dense, const char* routed,
                          const char* shared) {
    Table table = {{"lm_head", kPlain}, {layer + "self_attn.o_proj", output}};
    for (const char* name : {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"})
      table[layer + "self_attn." + name] = own;
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      table[layer + "mlp." + name] = dense;
      table[layer + "mlp.experts.*." + name] = routed;
      table[layer + "mlp.shared_experts." + name] = shared;
    }
    return table;
  };
  EXPECT_EQ(Preset("kimi_linear_nvfp4").of_model("deepseek-v3"), latent(kPlain, kFour, kFour, kFour, kFour));
  EXPECT_EQ(Preset("moe_experts_nvfp4").of_model("deepseek-v3"), latent(kPlain, kPlain, kPlain, kFour, kFour));
  EXPECT_EQ(Preset("nemotron3_super_mixed").of_model("deepseek-v3"), latent(kPlain, kPlain, kPlain, kFour, kEight));
  EXPECT_EQ(Preset("nemotron3_nano_nvfp4").of_model("deepseek-v3"), latent(kPlain, kPlain, kFour, kFour, kFour));
  EXPECT_EQ(Preset("qwen3_5_nvfp4").of_model("deepseek-v3"), latent(kEight, kEight, kFour, kFour, kEight));
  for (const char* family : {"qwen3-moe", "mixtral"}) {
    const Table experts = Preset("moe_experts_nvfp4").of_model(family), all = Preset("qwen3_5_nvfp4").of_model(family);
    EXPECT_GE(experts.size(), 8u) << family;
    for (const auto& [name, found] : experts) {
      const bool routed = name.find(".experts.") != std::string::npos, dense = name.find(".mlp.") != std::string::npos;
      EXPECT_EQ(found, routed ? kFour : kPlain) << name;
      EXPECT_EQ(all.at(name), name == "lm_head" ? kPlain : routed || dense ? kFour : kEight) << name;
    }
  }
}

}  // namespace
}  // namespace qad
