// What every row of the registry of families must have, whichever families there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/families/gguf_family.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

// A small model's config.json, in the family's own words.
ModelConfig small_one(const Family& family) {
  const std::string sizes = R"("vocab_size": 64, "hidden_size": 32, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "num_experts_per_tok": 2, "num_heads": 8,
    "n_groups": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "qk_rope_head_dim": 8, )";
  const std::string pattern = family.model_type == "nemotron_h" ? R"("hybrid_override_pattern": "M*", )" : "";
  const bool experts = family.model_type == "kimi_linear" || family.model_type == "qwen3_next" ||
                       family.model_type.ends_with("_moe") || family.model_type.ends_with("_moe_text");
  const std::string block = R"({"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 12}})";
  const std::string blocks = family.model_type == "nemotron-nas" ? "[" + block + ", " + block + "]" : "[]";
  return parse_hf_config("{\"model_type\": \"" + std::string(family.model_type) + "\", " + sizes + pattern +
                             (experts ? "\"num_experts\": 16, " : "") + "\"block_configs\": " + blocks + "}",
                         "config.json");
}

struct HelpOf {
  std::string_view name;
  std::string& help;
  template <class T>
  void operator()(const Field& field, T& /*value*/) const {
    if (field.name == name) help = field.help;
  }
};

TEST(Families, HaveNamesOfTheirOwn) {
  std::set<std::string_view> types, classes;
  for (const Family* family : families()) {
    EXPECT_TRUE(types.insert(family->model_type).second) << family->model_type;
    EXPECT_TRUE(classes.insert(family->architecture).second) << family->architecture;
    EXPECT_EQ(&family_of(std::string(family->model_type), "test"), family);
  }
}

TEST(Families, AreToldInTheHelpOfModelType) {
  std::string help;
  ModelConfig().visit_fields(HelpOf{"model_type", help});
  for (const Family* family : families()) EXPECT_NE(help.find(family->model_type), std::string::npos) << help;
}

TEST(Families, ReadWhatTheyWrite) {
  for (const Family* family : families()) {
    const std::string written = to_hf_config(small_one(*family), "bfloat16");
    EXPECT_EQ(to_hf_config(parse_hf_config(written, "config.json"), "bfloat16"), written);
    EXPECT_NE(written.find("\"" + std::string(family->architecture) + "\""), std::string::npos) << written;
  }
}

// "model.layers.1.mlp.experts.0.up_proj.weight" -> "mlp.experts.*.up_proj.weight", in a layer
std::pair<std::string, bool> in_its_layer(const std::string& tensor, std::string_view layers) {
  if (!tensor.starts_with(layers)) return {tensor, false};
  std::string name = tensor.substr(tensor.find('.', layers.size()) + 1);
  constexpr std::string_view kExperts = ".experts.";
  if (const auto at = name.find(kExperts); at != std::string::npos) {
    const std::size_t number = at + kExperts.size();
    name.replace(number, name.find('.', number) - number, "*");
  }
  return {name, true};
}

// How often a family's tables name a tensor: by its module, itself, or as one that is two there.
std::ptrdiff_t times_named(const GgufFamily& gguf, const std::string& tensor) {
  const auto [name, in_layer] = in_its_layer(tensor, gguf.layers);
  const std::string module = name.substr(0, name.rfind('.'));
  const auto of = [](auto names, const std::string& wanted) {
    return std::ranges::count_if(names, [&](const auto& one) { return one.ours == wanted; });
  };
  if (const auto itself = of(gguf.tensors, name) + of(gguf.splits, module); itself > 0) return itself;
  return in_layer ? of(gguf.in_layer, module) + of(gguf.experts, module) : of(gguf.around, module);
}

TEST(Families, NameEveryModuleInGguf) {
  std::string with_gguf;
  for (const Family* family : families()) {
    if (family->gguf == nullptr) continue;
    with_gguf += std::string(family->model_type) + " as " + std::string(family->gguf->architecture) + "\n";
    for (const ParameterPointer& parameter : initialize_model(small_one(*family), 1)->parameters())
      EXPECT_EQ(times_named(*family->gguf, parameter->name), 1) << parameter->name;
    for (const std::string_view module : family->gguf->neighbours)
      EXPECT_EQ(std::ranges::count(family->gguf->in_layer, module, &GgufName::ours), 1) << module;
  }
  EXPECT_EQ(with_gguf,
            "kimi_linear as kimi-linear\nllama as llama\nmamba2 as mamba2\nmistral as llama\nmixtral as llama\n"
            "nemotron_h as nemotron_h\nqwen2 as qwen2\nqwen3 as qwen3\nqwen3_moe as qwen3moe\n"
            "qwen3_next as qwen3next\n");
}

}  // namespace
}  // namespace qad
