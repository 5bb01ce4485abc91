// Recipes against the models that they name: what does not fit is told from config.json alone, all of it at once, each
// where it stands.
#include "qad/recipe/fit_check.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/tokenizer/tokenizer.h"
#include "models/families/hf_config.h"
#include "qad/layouts/registry.h"
#include "tests/support/error_of.h"
#include "tests/support/log_of.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::expect_mentions;

// A folder `teacher` with a config.json and no weights.
class Fit : public ::testing::Test {
 protected:
  Fit() { write_config(testing::small_config()); }
  void write_config(const ModelConfig& config) {
    write_file_atomically(folder_ / "teacher/config.json", to_hf_config(config, "bfloat16"));
  }
  // What is said of a recipe of this teacher, folders' names taken out; "no error" if nothing.
  std::string said(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write_file_atomically(folder_ / "r.yaml", "teacher: {model: " + (folder_ / "teacher").string() +
                                                  "}\ndata: {train: {text: a}, eval: {text: b}}\n" + text);
    std::string message = testing::error_of([&] { static_cast<void>(load_recipe(folder_ / "r.yaml", overrides)); });
    const std::string folder = folder_.path().string() + "/";
    for (std::size_t at; (at = message.find(folder)) != std::string::npos;) message.erase(at, folder.size());
    return message;
  }
  testing::TemporaryFolder folder_;
};

constexpr const char* kRules = R"(kind: qad
quantize:
  rules:
    - {layers: "*", weights: nvfp4, inputs: nvfp4}
    - {layers: lm_head}
)";

TEST_F(Fit, WhatFitsIsSilent) {
  EXPECT_EQ(said(std::string(kRules) + "export: [modelopt, compressed_tensors, dense]\n"), "no error");
  EXPECT_EQ(said("kind: ptq\nquantize: {rules: [{layers: \"*\", weights: int8}, {layers: lm_head}]}\n"
                 "export: [compressed_tensors, dense]\n"),
            "no error");
}

TEST_F(Fit, OfRunIsOfARun) {
  const std::string student = "student: {model: " + (folder_ / "teacher").string() + ", of_run: student}\n";
  expect_mentions(said(kRules + student),
                  {":8:",
                   "student.of_run: expected a run's folder as student.model, got a model's: teacher (leave "
                   "student.of_run out)"});
  expect_mentions(said(std::string(kRules) + "student: {of_run: student}\n"),
                  {"student.of_run: expected a run's folder as student.model, got the word teacher"});
  expect_mentions(said(kRules, {"teacher.of_run=masters"}),
                  {"teacher.of_run: expected a run's folder as teacher.model, got a model's: teacher"});
  EXPECT_EQ(said(kRules, {"student.model=no/where", "student.of_run=student"}), "no error") << "it may be a run's";
  EXPECT_EQ(said(kRules, {"student.of_run=masters", "teacher.of_run=student"}), "no error")
      << "as resolved recipes say";
}

TEST_F(Fit, RulesOverParametersMeetSomeInEveryArmThatTrains) {
  const std::string train = "train: {parameters: [{frozen: true}, {names: \"*.up_porj.*\"}]}\n";
  const char* const typo =
      "train.parameters[1]: expected a rule that matches a parameter that is trained, got '*.up_porj.*', which matches "
      "none (names are those of the model's files: model.embed_tokens.weight)";
  expect_mentions(said(kRules + train), {"r.yaml:8:38: ", typo});
  EXPECT_EQ(said(kRules + train, {"train.steps=0"}), "no error");
  EXPECT_EQ(said(kRules + train, {"kind=ptq"}), "no error");
  expect_mentions(said("kind: compare\narms: [{name: a, kind: ptq}, {name: b, kind: qad}]\n" + train), {typo});
  expect_mentions(said("kind: compare\narms: [{name: a, kind: ptq}, {name: b, kind: qad, set: "
                       "[\"train.parameters=[{role: scale}]\"]}]\n"),
                  {"train.parameters[0]", "'*' with the role scale, which matches none"});
  const std::string scales = "train: {parameters: [{role: scale, lr_factor: 5}, {names: \"*.log2_scale_of_*\"}]}\n";
  EXPECT_EQ(said(kRules + scales, {"quantize.scales=dual_lsq"}), "no error");
  expect_mentions(said(kRules + scales, {"quantize.scales=lsq"}), {"train.parameters[1]: expected a rule"});
}

TEST_F(Fit, AllOfItIsToldWhereItStands) {
  ModelConfig config = testing::small_config();
  config.intermediate_size = 40;
  config.sliding_window = 100;
  config.model_type = "mistral";
  write_config(config);
  const std::string message =
      said(std::string(kRules) + "    - {layers: \"*q_proj\", weights: nvfp4, inputs: nvfp4}\n" +
           "export:\n  - dense\n  - gguf\n  - bitsandbytes\n");
  expect_mentions(
      message,
      {"r.yaml: 5 errors\n",
       "r.yaml:6:7: quantize.rules[0]: *.down_proj (2 layers): expected an inner dimension that is a multiple of 16 "
       "for "
       "nvfp4, got 40 (exclude by a last rule {layers: \"*.down_proj\", weights: none, inputs: none})\n",
       "r.yaml:11:5: export[1]: gguf: config.json: sliding_window: expected none within max_position_embeddings 512, "
       "got "
       "100 (llama.cpp has no place for it)\n",
       "export[1]: gguf: *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj (12 layers): expected an inner "
       "dimension that is a multiple of 64, the width of GGUF's blocks, got 32 (exclude by last rules",
       "export[1]: gguf: *.down_proj (2 layers): expected an inner dimension that is a multiple of 64, the width of "
       "GGUF's blocks, got 40",
       "r.yaml:12:5: export[2]: bitsandbytes: *.q_proj, "});
  EXPECT_EQ(message.find("dense:"), std::string::npos) << message;
}

TEST_F(Fit, ArmsAreCheckedEachAndToldOnce) {
  ModelConfig config = testing::small_config();
  config.intermediate_size = 40;
  write_config(config);
  const std::string rules = std::string(kRules).substr(std::string("kind: qad\n").size());
  const std::string message =
      said("kind: compare\n" + rules +
           "arms:\n  - {name: a, kind: ptq}\n  - {name: b, kind: qad, lr: [1.0e-3, 2.0e-3]}\n"
           "  - {name: c, kind: qad, set: ['quantize.rules=[{layers: \"*_proj\", weights: int4_g128}]']}\n");
  expect_mentions(message, {"r.yaml: 3 errors\n", "r.yaml:6:7: quantize.rules[0]: *.down_proj (2 layers)",
                            "quantize.rules[0]: *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj (12 "
                            "layers): expected an inner dimension that is a multiple of 128 for int4_g128, got 32",
                            "of 128 for int4_g128, got 40"});
  // Where every arm has rules that fit, those of the comparison are nobody's.
  const std::string fitting =
      said("kind: compare\n" + rules +
           "arms:\n  - {name: a, kind: ptq, set: ['quantize.rules=[{layers: \"*_proj\", weights: "
           "int8}]']}\n");
  EXPECT_EQ(fitting, "no error");
}

TEST_F(Fit, RulesThatMeetNoLayerAreToldOnceWhereTheyStand) {
  const std::string rules =
      "kind: ptq\nimports: [presets/nemotron3_nano_nvfp4]\nquantize:\n  rules+:\n"
      "    - {layers: lm_haed}\n"
      "    - {layers: \"*.k_proj_\", kind: attention, weights: nvfp4}\n"
      "    - {layers: \"*\", kind: experts, weights: int8}\n"
      "    - {layers: \"*.up_proj\", kind: attention}\n"
      "    - {layers: \"*.down_proj\"}\n";
  const auto told = [&](const std::string& text) {
    return testing::log_of([&] {
      EXPECT_EQ(said(text), "no error");
      EXPECT_TRUE(check_recipe_file(folder_ / "r.yaml"));
    });
  };
  const std::string log = told(rules);
  expect_mentions(
      log, {"r.yaml:7:7: quantize.rules[4]: no linear layer is met by 'lm_haed' (did you mean \"lm_head\"?)\n",
            ":8:7: quantize.rules[5]: no linear layer is met by '*.k_proj_', attention (did you mean \"k_proj\"?)\n",
            ":9:7: quantize.rules[6]: no linear layer is met by '*', experts (kinds of this model: attention, "
            "feed_forward, head)\n",
            ":10:7: quantize.rules[7]: no linear layer is met by '*.up_proj', attention (layers have that name, but "
            "not in that kind or place)\n"});
  EXPECT_EQ(std::ranges::count(log, '\n'), 4) << "presets name kinds that some models lack\n" << log;
  const std::string arms = "arms: [{name: a, kind: ptq}, {name: b, kind: qad, lr: [1.0e-3, 2.0e-3]}]\n";
  const std::string of_arms = told("kind: compare\n" + rules.substr(rules.find('\n') + 1) + arms);
  EXPECT_EQ(std::ranges::count(of_arms, '\n'), 4) << of_arms;
}

TEST_F(Fit, TheStudentsOwnModelCounts) {
  ModelConfig config = testing::small_config();
  config.hidden_size = 24;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  write_file_atomically(folder_ / "student/config.json", to_hf_config(config, "bfloat16"));
  const std::string student = "student.model=" + (folder_ / "student").string();
  expect_mentions(said(kRules, {student}), {"*.q_proj, ", "multiple of 16 for nvfp4, got 24"});
  EXPECT_EQ(said(kRules, {"student.model=/nowhere"}), "no error");  // those who load it tell
  write_file_atomically(folder_ / "student/config.json", "{");
  EXPECT_EQ(said(kRules, {student}), "no error");
}

TEST_F(Fit, ModelsThatAreQuantizedAlreadyAreNamedAsSuch) {
  struct Case {
    const char *file, *text, *how;
  };
  for (const Case& test :
       {Case{"config.json", R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})",
             "nvfp4 by modelopt"},
        Case{"config.json",
             R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}})",
             "pack-quantized by compressed-tensors"},
        Case{"config.json",
             R"({"quantization_config": {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4"}})",
             "nf4 by bitsandbytes"},
        Case{"config.json", R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})", "4 bits by gptq"},
        Case{"config.json", R"({"time_step_limit": [0.0, Infinity], "quantization_config": {"quant_method": "awq"}})",
             "by awq"},
        Case{"hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})", "fp8 by modelopt"},
        Case{"model.gguf", "GGUF", "a GGUF file"}}) {
    const testing::TemporaryFolder model;
    write_file_atomically(model / test.file, test.text);
    const std::string how =
        std::string("expected a BF16 or FP32 model, got one that is quantized already (") + test.how + ")";
    expect_mentions(said(kRules, {"teacher.model=" + model.path().string()}), {"teacher.model: ", how.c_str()});
    expect_mentions(said(kRules, {"student.model=" + model.path().string()}), {"student.model: ", how.c_str()});
  }
}

TEST_F(Fit, ATokenizerThatGgufCanNotSayIsToldToo) {
  ModelConfig config = testing::small_config();
  config.hidden_size = config.intermediate_size = 64;
  config.vocab_size = 258;
  config.eos_token_id = {257};
  write_config(config);
  const std::string recipe = std::string(kRules) + "export: [gguf]\n";
  EXPECT_EQ(said(recipe), "no error");  // the file will say that it holds none
  load_tokenizer("bytes")->save(folder_ / "teacher");
  EXPECT_EQ(said(recipe), "no error");
  config.vocab_size = 64;
  write_config(config);
  expect_mentions(said(recipe), {"r.yaml:8:10: export[0]: gguf: tokenizer.json: expected ", "64"});
}

TEST_F(Fit, ARecipeThatHasBeenRunningIsReadWithoutItsModels) {
  write_file_atomically(folder_ / "model/hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})");
  EXPECT_EQ(said(kRules), "no error");
  Recipe recipe = load_recipe(folder_ / "r.yaml");
  recipe.teacher->model = (folder_ / "model").string();
  EXPECT_NO_THROW(static_cast<void>(parse_recipe(recipe_text(recipe), "recipe.yaml")));
}

}  // namespace
}  // namespace qad
