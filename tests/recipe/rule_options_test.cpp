// Options of a quantize rule in a recipe: read, written back, explained, and refused where nothing would follow them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "models/families/hf_config.h"
#include "qad/recipe/recipe.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::expect_mentions;

class RuleOptions : public ::testing::Test {
 protected:
  RuleOptions() { write_teacher(testing::small_config()); }
  void write_teacher(const ModelConfig& config) {
    write_file_atomically(folder_ / "teacher/config.json", to_hf_config(config, "bfloat16"));
  }
  Recipe load(const std::string& rest) {
    write_file_atomically(folder_ / "r.yaml", "kind: qad\nteacher: {model: " + (folder_ / "teacher").string() +
                                                  "}\ndata: {train: {text: a}, eval: {text: b}}\n" + rest);
    return load_recipe(folder_ / "r.yaml");
  }
  std::string said(const std::string& rest) {
    try {
      static_cast<void>(load(rest));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "no error";
  }
  testing::TemporaryFolder folder_;
};

constexpr const char* kTwoRules = R"(quantize:
  rules:
    - {layers: "*", weights: nvfp4, inputs: nvfp4}
    - {layers: lm_head}
)";

// The rules above with one more.
std::string rules_and(std::string_view rule) { return fmt::format("{}    - {}\n", kTwoRules, rule); }

TEST_F(RuleOptions, AreReadAndWrittenBack) {
  const Recipe recipe = load(
      rules_and("{layers: \"*.down_proj\", weights: nvfp4, tensor_scale: {round: none}, ste: clip, algorithm: mse}") +
      "    - {layers: \"*.o_proj\", weights: fp8, tensor_scale: {from: data}, algorithm: max}\n");
  ASSERT_EQ(recipe.quantize.rules.size(), 4u);
  const QuantizeRule &plain = recipe.quantize.rules[0], &down = recipe.quantize.rules[2];
  EXPECT_FALSE(plain.tensor_scale || plain.ste || plain.algorithm);
  EXPECT_EQ(down.tensor_scale->round, TensorScaleRound::none);
  EXPECT_EQ(down.tensor_scale->from, std::nullopt);
  EXPECT_EQ(down.ste, StraightThrough::clip);
  EXPECT_EQ(down.algorithm, CalibrationKind::mse);
  const std::string text = recipe_text(recipe);
  EXPECT_EQ(recipe_text(parse_recipe(text, "r")), text);
  for (const char* line : {"round: none", "ste: clip", "algorithm: mse", "from: data", "kv_cache: none"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  // Rules without options are written as they always were.
  const std::string usual = recipe_text(load(kTwoRules));
  EXPECT_NE(usual.find("- layers: \"*\"\n      weights: nvfp4\n      inputs: nvfp4\n    - layers: lm_head\n      "
                       "weights: none\n      inputs: none\n  unquantized: bf16\n  kv_cache: none\n"),
            std::string::npos)
      << usual;
}

TEST(RuleOptionsExplained, AreListedWithTheirChoices) {
  const std::vector<KeyDescription> keys = describe_recipe();
  const auto type_of = [&](const char* key) {
    const auto found = std::ranges::find(keys, key, &KeyDescription::key);
    return found == keys.end() ? std::string("not there") : found->type;
  };
  EXPECT_EQ(type_of("quantize.rules[].tensor_scale"), "section");
  EXPECT_EQ(type_of("quantize.rules[].tensor_scale.round"), "pow2 | none");
  EXPECT_EQ(type_of("quantize.rules[].tensor_scale.from"), "calibration | data");
  EXPECT_EQ(type_of("quantize.rules[].ste"), "identity | clip | through_scale");
  EXPECT_EQ(type_of("quantize.rules[].input_ste"), "identity | clip | through_scale");
  EXPECT_EQ(type_of("quantize.rules[].algorithm"), "max | mse | local_hessian | gptq | awq | smoothquant");
  EXPECT_EQ(type_of("quantize.rules[].scales"), "amax | found | lsq | dual_lsq");
  EXPECT_EQ(type_of("quantize.kv_cache"), "text");
}

TEST_F(RuleOptions, OfAGroupThatSharesAScaleMustAgree) {
  expect_mentions(said(rules_and("{layers: \"*.up_proj\", weights: nvfp4, inputs: nvfp4, tensor_scale: {from: data}}")),
                  {"r.yaml:8:7: quantize.rules[2]: *.up_proj (2 layers): expected the tensor_scale of *.gate_proj, "
                   "round pow2, from calibration (quantize.rules[0]), since they share a scale, got round pow2, from "
                   "data (quantize.rules[2])"});
  EXPECT_EQ(said(rules_and("{layers: \"*mlp.*_proj\", weights: nvfp4, inputs: nvfp4, tensor_scale: {from: data}}")),
            "no error");
}

TEST_F(RuleOptions, ThatNothingWouldFollowAreRefused) {
  const std::string whole = "(the last rule that matches a layer counts, whole: say its formats here too)";
  const auto last = [&](const std::string& rule) { return said(rules_and(rule)); };
  EXPECT_NE(last("{layers: \"*.down_proj\", ste: clip}")
                .find("quantize.rules[2].ste: expected weights or inputs beside it, got none " + whole),
            std::string::npos);
  EXPECT_NE(last("{layers: \"*.down_proj\", algorithm: mse}").find("quantize.rules[2].algorithm: expected weights or"),
            std::string::npos);
  EXPECT_NE(last("{layers: \"*.down_proj\", inputs: nvfp4, algorithm: mse}")
                .find("quantize.rules[2].algorithm: expected weights beside it, whose scales it finds, got none"),
            std::string::npos);
  EXPECT_NE(last("{layers: \"*.down_proj\", weights: fp8, algorithm: mse}")
                .find("quantize.rules[2].algorithm: expected weights in a format with block scales to search, got fp8"),
            std::string::npos);
  EXPECT_NE(
      last("{layers: \"*.down_proj\", weights: nvfp4, algorithm: mse, tensor_scale: {from: data}}")
          .find("quantize.rules[2].algorithm: expected max where the tensor scale is from data, got mse (scales that"),
      std::string::npos);
  EXPECT_NE(
      last("{layers: \"*.down_proj\", weights: nvfp4, tensor_scale: {from: data}}\ncalibrate: {algorithm: mse}")
          .find(
              "quantize.rules[2].tensor_scale: expected from: calibration where calibrate.algorithm is mse, got data"),
      std::string::npos);
  EXPECT_EQ(last("{layers: \"*.down_proj\", weights: fp8, ste: clip, algorithm: max}"), "no error");
}

TEST_F(RuleOptions, AGradientPassesThroughScalesThatFollowTheirBlock) {
  const std::string mse = "calibrate: {algorithm: mse}\nquantize: {";
  const std::string rules = "rules: [{layers: \"*_proj\", weights: nvfp4, inputs: nvfp4}]}\n";
  EXPECT_EQ(said(mse + "input_ste: through_scale, " + rules), "no error");
  expect_mentions(
      said(mse + "ste: through_scale, " + rules),
      {"r.yaml:5:68: quantize.rules[0].weights: expected ste identity or clip where algorithm mse finds block "
       "scales, and they stay, got through_scale (input_ste: through_scale is that of inputs alone)"});
  const auto last = [&](const std::string& rule) { return said(rules_and(rule)); };
  EXPECT_EQ(last("{layers: \"*.o_proj\", weights: nvfp4, inputs: mxfp4, ste: through_scale}"), "no error");
  EXPECT_EQ(said("quantize: {input_ste: through_scale, rules: [{layers: \"*_proj\", weights: fp8, inputs: fp8}]}\n"),
            "no error");  // where a format has block scales
  expect_mentions(last("{layers: \"*.down_proj\", weights: nvfp4, inputs: fp8, input_ste: through_scale}"),
                  {"r.yaml:8:55: quantize.rules[2].inputs: expected input_ste identity or clip in fp8, which has no "
                   "block scales, got through_scale (say input_ste: identity in this rule)"});
  expect_mentions(last("{layers: \"*.down_proj\", weights: fp8, ste: through_scale}"),
                  {"quantize.rules[2].weights: expected ste identity or clip in fp8, which has no block scales"});
  expect_mentions(last("{layers: \"*.down_proj\", weights: nvfp4, input_ste: through_scale}"),
                  {"quantize.rules[2].input_ste: expected inputs beside it, got none"});
  EXPECT_EQ(said("quantize: {kv_cache: fp8, ste: through_scale, " + rules), "no error");
}

TEST_F(RuleOptions, BlockScalesFollowStayOrAreLearnedWhereTheyCan) {
  const auto last = [&](const std::string& rule) { return said(rules_and(rule)); };
  for (const char* scales : {"amax", "found", "lsq", "dual_lsq"})
    EXPECT_EQ(last(fmt::format("{{layers: \"*.down_proj\", weights: nvfp4, scales: {}}}", scales)), "no error");
  const std::string rule = "[{layers: \"*_proj\", weights: nvfp4, inputs: nvfp4}, {layers: x, weights: fp8}]}\n";
  const auto all = [&](const std::string& options, const std::string& more = "") {
    return said("quantize: {" + options + ", rules: " + rule + more);
  };
  EXPECT_EQ(all("scales: dual_lsq"), "no error");  // fp8 has none
  EXPECT_EQ(all("scales: lsq, input_ste: through_scale", "calibrate: {algorithm: mse}\n"), "no error");
  expect_mentions(all("scales: lsq, ste: through_scale"),
                  {"quantize.rules[0].weights: expected ste identity or clip where scales are lsq, got through_scale"});
  expect_mentions(
      all("scales: amax", "calibrate: {algorithm: mse}\n"),
      {"quantize.rules[0].weights: expected scales found, lsq or dual_lsq where algorithm mse finds them, got "
       "scales amax"});
  expect_mentions(all("scales: found, tensor_scale: {from: data}"),
                  {"quantize.rules[0].weights: expected scales amax where the tensor scale is from data, got scales "
                   "found"});
  expect_mentions(last("{layers: \"*.down_proj\", weights: fp8, scales: lsq}"),
                  {"quantize.rules[2].scales: expected weights in a format with block scales, got fp8"});
  expect_mentions(last("{layers: \"*.down_proj\", inputs: nvfp4, scales: lsq}"),
                  {"quantize.rules[2].scales: expected weights beside it, whose scales they are, got none"});
}

TEST_F(RuleOptions, HeadroomIsThatOfScalesFromCalibration) {
  const auto with = [&](const std::string& headroom, const std::string& rest) {
    return said("quantize: {tensor_scale: {headroom: " + headroom + "}, " + rest + "}\n");
  };
  const auto rule = [](const std::string& options) {
    return "rules: [{layers: \"*_proj\", weights: nvfp4" + options + "}]";
  };
  EXPECT_EQ(with("2", rule(", inputs: nvfp4")), "no error");
  EXPECT_EQ(with("2", "kv_cache: fp8"), "no error");
  EXPECT_EQ(with("1", rule("")), "no error");
  for (const char* none : {"", ", inputs: mxfp4", ", inputs: nvfp4, tensor_scale: {from: data}"})
    expect_mentions(with("2", rule(none)),
                    {"r.yaml:4:37: quantize.tensor_scale.headroom: expected 1 where no input has a tensor scale from "
                     "calibration, got 2 (such as inputs: nvfp4 with tensor_scale.from: calibration)"});
  expect_mentions(with("0.5", rule(", inputs: nvfp4")), {"quantize.tensor_scale.headroom", "0.5"});
}

TEST_F(RuleOptions, MovesToTheGridNeedOneAndTimeForThem) {
  const auto with = [&](const std::string& train, const char* weights = "nvfp4") {
    return said(
        fmt::format("train: {{{}}}\nquantize: {{rules: [{{layers: \"*_proj\", weights: {}}}]}}\n", train, weights));
  };
  EXPECT_EQ(with("weight_ema: 0.99, pull_to_grid: {strength: 10}, oscillation_reset: {window: 20}"), "no error");
  expect_mentions(with("weight_ema: 1"), {"train.weight_ema"});
  expect_mentions(with("pull_to_grid: {strength: 10}", "none"),
                  {"train.pull_to_grid.strength: expected 0 where no rule quantizes weights, got 10"});
  expect_mentions(with("oscillation_reset: {window: 20}", "none"),
                  {"train.oscillation_reset.window: expected 0 where no rule quantizes weights, got 20"});
  expect_mentions(with("lr: 0.5, pull_to_grid: {strength: 10}"),
                  {"train.pull_to_grid.strength: expected at most 1 / train.lr = 2, got 10"});
  expect_mentions(with("steps: 100, oscillation_reset: {window: 40, begins: 0.7}"),
                  {"train.oscillation_reset.window: expected at most the 30 steps after "
                   "train.oscillation_reset.begins, got 40 (no window would end)"});
}

TEST_F(RuleOptions, HiddenStatesAreComparedWithATeachers) {
  EXPECT_EQ(said("loss: {hidden_weight: 0.5}\n"), "no error");
  expect_mentions(said("loss: {kind: cross_entropy, hidden_weight: 0.5}\n"),
                  {"loss.hidden_weight: expected 0 where loss.kind is cross_entropy, got 0.5"});
  expect_mentions(said("loss: {hidden_weight: -1}\n"), {"loss.hidden_weight", "-1"});
}

TEST_F(RuleOptions, OfParametersAreReadCheckedAndWrittenBack) {
  const auto of = [](const std::string& rules) { return "train: {parameters: [" + rules + "]}\n"; };
  const Recipe recipe = load(of("{frozen: true}, {names: \"*.mlp.*\", role: linear, lr_factor: 3, weight_decay: 0.1}"));
  ASSERT_EQ(recipe.train.parameters.size(), 2u);
  EXPECT_TRUE(recipe.train.parameters[0].frozen);
  EXPECT_EQ(recipe.train.parameters[0].names, "*");
  EXPECT_EQ(recipe.train.parameters[1].role, Role::weight);
  EXPECT_EQ(recipe.train.parameters[1].lr_factor, 3);
  EXPECT_EQ(recipe.train.parameters[1].weight_decay, 0.1);
  const std::string text = recipe_text(recipe);
  EXPECT_EQ(recipe_text(parse_recipe(text, "r")), text);
  expect_mentions(said(of("{role: norms}")), {"train.parameters[0].role", "linear", "norm", "norms"});
  expect_mentions(said(of("{lr_factor: 0}")), {"train.parameters[0].lr_factor", "0"});
  expect_mentions(said(of("{frozen: true, lr_factor: 2}")),
                  {"train.parameters[0]: expected frozen: true without lr_factor and weight_decay, got one of them"});
}

TEST_F(RuleOptions, AnAlgorithmNeedsAFormatThatItServes) {
  const std::string rules = "quantize: {rules: [{layers: \"*\", weights: fp8}, {layers: lm_head}]}\n";
  for (const char* name : {"mse", "local_hessian", "gptq", "awq"})
    expect_mentions(
        said(fmt::format("{}calibrate: {{algorithm: {}}}\n", rules, name)),
        {"calibrate.algorithm: expected weights in a format with block scales to search, got none in any rule"});
  EXPECT_EQ(said(fmt::format("{}calibrate: {{algorithm: gptq, gptq: {{order: static}}}}\n", kTwoRules)), "no error");
  expect_mentions(said(fmt::format("{}calibrate: {{gptq: {{damping: 2}}}}\n", kTwoRules)), {"calibrate.gptq.damping"});
}

TEST_F(RuleOptions, TheCacheHasTheFormatOfAnyName) {
  ModelConfig wide = testing::small_config();
  wide.hidden_size = 128;
  write_teacher(wide);
  for (const BlockFormat& format : block_formats()) {
    if (format.block > 32) continue;  // heads are 32 wide
    EXPECT_EQ(said("quantize: {kv_cache: " + std::string(format.name) + "}\n"), "no error") << format.name;
  }
  expect_mentions(said("quantize: {kv_cache: nf4_g64}\n"),
                  {"r.yaml:4:22: quantize.kv_cache: keys and values: expected a head_dim that is a multiple of 64 for "
                   "nf4_g64, got 32"});
  expect_mentions(said("quantize: {kv_cache: fp9}\n"),
                  {"r.yaml:4:22: quantize.kv_cache: unknown number format \"fp9\" (did you mean \"fp8\"?)"});
  const std::string rules = "quantize: {kv_cache: nvfp4, rules: [{layers: \"*_proj\", weights: nvfp4}]}\nexport: ";
  EXPECT_EQ(said(rules + "[dense]\n"), "no error");
  expect_mentions(said(rules + "[modelopt]\n"),
                  {"export[0]: modelopt: keys and values: expected fp8 or none that are quantized, got nvfp4 (modelopt "
                   "has no place for their scales; set kv_cache to fp8, or export as dense)"});
}

}  // namespace
}  // namespace qad
