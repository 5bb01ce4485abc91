// Quantizers and layouts that do not fit the model: refused by the layer's name, before a step is trained.
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

using testing::Workplace;
constexpr ExitCode kFailed = ExitCode::failed;

TEST(BadLayers, InnerDimensionIsNoMultipleOfTheBlock) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 24;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  const Workplace work(config);
  work.run_refused({}, kFailed,
                   {"model.layers.0.self_attn.q_proj: expected an inner dimension that is a multiple of 16 for nvfp4, "
                    "got 24 (exclude it by a last rule"});
}

TEST(BadLayers, Rules) {
  const Workplace work;
  const std::string all = "{layers: \"*\", weights: nvfp4, inputs: nvfp4}";
  work.run_refused({"quantize.rules=[" + all + ", {layers: \"*q_proj\"}, {layers: lm_head}]"}, kFailed,
                   {"model.layers.0.self_attn.k_proj: expected the formats of model.layers.0.self_attn.q_proj",
                    "let the same rules match the whole group"});
  work.run_refused({"quantize.rules=[" + all + "]"}, kFailed, {"lm_head: ", "tied to the embedding"});
  work.run_refused({"quantize.rules=[{layers: \"*\", weights: nvfp5}]"}, ExitCode::usage,
                   {"unknown number format \"nvfp5\" (did you mean \"nvfp4\"?)"});
}

TEST(BadLayers, LayoutsThatCanNotCarryTheFormats) {
  const Workplace work;
  const std::string layout = "export=[dense, compressed_tensors]";
  work.run_refused({layout, "quantize.tensor_scale.round=none"}, kFailed,
                   {"model.layers.0.self_attn.q_proj.weight: expected a tensor scale that is a power of two"});
  work.run_refused({layout, "quantize.tensor_scale={round: none, from: data}"}, kFailed, {"a power of two"});
  work.run_refused({layout, "quantize.rules=[{layers: \"*\", weights: int8}, {layers: lm_head}]"}, kFailed,
                   {"model.layers.0.self_attn.q_proj: ", "got int8 weights", "export as dense"});
  work.run_refused({layout, "quantize.rules=[]"}, kFailed, {"a quantized layer at least, got none (export as dense)"});
}

TEST(BadLayers, StudentOfAnotherFamily) {
  const Workplace work;
  ModelConfig config = testing::tiny_config();
  config.vocab_size = 300;
  save_model(work.path("other"), *initialize_model(config, 1), DType::bf16);
  work.run_refused({"student.model=" + work.at("other")}, kFailed,
                   {"expected the teacher's vocabulary of 258, got 300"});
}

}  // namespace
}  // namespace qad
