// Quantizers and layouts that do not fit the model: refused by the layer's name, before a step is trained.
#include <filesystem>

#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

using testing::kFailed;
using testing::Workplace;
// Hidden size 24, so that what reads the residual stream fits no block of 16.
ModelConfig narrow_config() {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 24;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  return config;
}

TEST(BadLayers, InnerDimensionIsNoMultipleOfTheBlock) {
  const Workplace work(narrow_config());
  // Before the teacher writes its text, and by the verbs that only look.
  const std::string text = "data.train={text: null, teacher_text: {documents: 8, max_tokens: 32}}";
  const std::string told =
      "recipe.yaml:4:20: quantize.rules[0]: *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, "
      "*.up_proj (18 layers): expected an inner dimension that is a multiple of 16 for nvfp4, got "
      "24 (exclude by last rules {layers: \"*.q_proj\", weights: none, inputs: none}, ";
  work.run_refused({text}, ExitCode::usage, {told});
  work.refused({"plan", work.recipe().string(), text}, ExitCode::usage, {told});
  work.refused({"recipes", "check", work.recipe().string()}, ExitCode::usage, {told});
  const std::string compare =
      work.recipe("arms: [{name: a, kind: ptq}, {name: b, kind: qad, lr: [1.0e-3, 2.0e-3]}]\n").string();
  work.refused({"compare", compare, "kind=compare", text, "--out", work.at("out")}, ExitCode::usage, {told});
}

TEST(BadLayers, Rules) {
  const Workplace work;
  const std::string all = "{layers: \"*\", weights: nvfp4, inputs: nvfp4}";
  work.run_refused({"quantize.rules=[" + all + ", {layers: \"*q_proj\"}, {layers: lm_head}]"}, ExitCode::usage,
                   {"quantize.rules[0]: *.k_proj, *.v_proj (6 layers): expected the formats of *.q_proj (weights none, "
                    "inputs none)",
                    "let the same rules match the whole group"});
  work.run_refused({"quantize.rules=[" + all + "]"}, ExitCode::usage,
                   {"quantize.rules[0]: lm_head: expected a head of its own to quantize, got one that is tied to the "
                    "embedding (exclude by a last rule {layers: \"lm_head\""});
  work.run_refused({"quantize.rules=[{layers: \"*\", weights: nvfp5}]"}, ExitCode::usage,
                   {"unknown number format \"nvfp5\" (did you mean \"nvfp4\"?)"});
}

TEST(BadLayers, LayoutsThatCanNotCarryTheFormats) {
  const Workplace work;
  const std::string layout = "export=[dense, compressed_tensors]";
  const std::string all =
      "export[1]: compressed_tensors: *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj, "
      "*.down_proj (21 layers): expected ";
  for (const char* scale : {"quantize.tensor_scale.round=none", "quantize.tensor_scale={round: none, from: data}"})
    work.run_refused({layout, scale}, ExitCode::usage,
                     {all + "a tensor scale that is a power of two", "export as modelopt"});
  work.run_refused(
      {layout, "quantize.rules=[{layers: \"*\", weights: int8, inputs: int8}, {layers: lm_head}]"}, ExitCode::usage,
      {all + "nvfp4 weights with nvfp4 or plain inputs, ", "got int8 weights with int8 inputs", "export as dense"});
  work.run_refused({layout, "quantize.rules=[]"}, ExitCode::usage,
                   {"export[1]: compressed_tensors: expected a quantized layer at least, got none (export as dense)"});
}

TEST(BadLayers, EverythingThatDoesNotFitIsToldAtOnce) {
  const Workplace work(narrow_config());
  const std::string recipe = work.recipe("export: [gguf, modelopt, bitsandbytes]\n").string();
  for (const testing::Arguments& command :
       {testing::Arguments{"recipes", "check", recipe}, testing::Arguments{"plan", recipe},
        Workplace::run_arguments(recipe, work.at("out"))}) {
    const testing::Outcome outcome = Workplace::start(command);
    EXPECT_EQ(outcome.exit_code, static_cast<int>(ExitCode::usage)) << outcome.err;
    for (const char* part : {": 3 errors\n", "quantize.rules[0]: *.q_proj", "export[0]: gguf: *.q_proj",
                             "export[2]: bitsandbytes: *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj, "
                             "*.down_proj (21 layers): "
                             "expected nf4_g64 weights with plain inputs, got nvfp4 weights with nvfp4 inputs "
                             "(bitsandbytes has no place for "
                             "these; export as modelopt, compressed_tensors, dense or gguf)"})
      EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(work.path("out")));
  }
}

TEST(BadLayers, AModelThatIsNotThereIsLeftToThoseWhoLoadIt) {
  const Workplace work(narrow_config());
  const testing::Outcome outcome =
      Workplace::start({"recipes", "check",
                        work.write("far.yaml",
                                   "kind: ptq\nteacher: {model: /nowhere/model}\n"
                                   "data: {train: {text: a}, eval: {text: b}}\n"
                                   "quantize: {rules: [{layers: \"*\", weights: nvfp4}]}\n")});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(BadLayers, AnExportIsRefusedBeforeAnythingIsLoaded) {
  const Workplace work;
  work.run(work.recipe(), "run", {"kind=ptq", "quantize.rules=[{layers: \"*_proj\", weights: int8}]"});
  std::filesystem::remove(work.teacher() / "model.safetensors");
  for (const char* layout : {"modelopt", "gguf", "bitsandbytes"})
    work.refused(
        {"export", work.at("run"), "--format", layout, "--out", work.at("out")}, ExitCode::usage,
        {std::string(layout) + ": *.q_proj, *.k_proj, *.v_proj, *.o_proj, *.gate_proj, *.up_proj, *.down_proj (21 "
                               "layers): expected ",
         "got int8 weights with plain inputs", "export as compressed_tensors or dense"});
}

TEST(BadLayers, APackedExportIsNoTeacher) {
  const Workplace work;
  work.run(work.recipe(), "run", {"kind=ptq", "export=[modelopt, compressed_tensors]"});
  work.run(work.recipe(), "int8",
           {"kind=ptq", "quantize.rules=[{layers: \"*_proj\", weights: int8}]", "export=[compressed_tensors]"});
  const std::vector<std::pair<std::string, std::string>> exports = {
      {"run/export/modelopt", "nvfp4 by modelopt"},
      {"run/export/compressed_tensors", "nvfp4-pack-quantized by compressed-tensors"},
      {"int8/export/compressed_tensors", "pack-quantized by compressed-tensors"}};
  for (const auto& [folder, how] : exports)
    for (const char* key : {"teacher.model", "student.model"}) {
      const testing::Arguments overrides = {std::string(key) + "=" + work.at(folder)};
      const std::vector<std::string> words = {std::string(key) +
                                                  ": expected a BF16 or FP32 model, got one that is "
                                                  "quantized already (" +
                                                  how + ")",
                                              "use the model that it was made from, or its dense export"};
      work.run_refused(overrides, ExitCode::usage, words);
      work.refused({"plan", work.recipe().string(), overrides.front()}, ExitCode::usage, words);
    }
}

TEST(BadLayers, StudentOfAnotherFamily) {
  const Workplace work;
  ModelConfig config = testing::tiny_config();
  config.vocab_size = 300;
  save_model(work.path("other"), *initialize_model(config, 1), DType::bf16);
  load_tokenizer("bytes")->save(work.path("other"));
  work.run_refused({"student.model=" + work.at("other")}, kFailed,
                   {"expected the teacher's vocabulary of 258, got 300"});
}

}  // namespace
}  // namespace qad
