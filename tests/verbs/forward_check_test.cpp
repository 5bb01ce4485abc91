// A model whose forward overflows is never exported, also where nothing but the guard would run it.
#include <gtest/gtest.h>

#include <functional>

#include "models/import/model_folder.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/hybrid_models.h"

namespace qad {
namespace {

using testing::Arguments;
using testing::Workplace;

// `qad quantize` of a teacher with one weight of `name` changed.
void expect_not_finite(const ModelConfig& config, const std::string& preset, const std::string& name, float value,
                       const std::string& place, const Arguments& more = {}) {
  SCOPED_TRACE(preset + " " + name);
  const Workplace work(config);
  const auto model = initialize_model(config, 3);
  bool found = false;
  for (const ParameterPointer& parameter : model->parameters())
    if (parameter->name == name) parameter->value().data()[3] = value, found = true;
  ASSERT_TRUE(found);
  save_model(work.teacher(), *model, DType::bf16);
  Arguments arguments = {"quantize", work.at("teacher"), "--preset", preset, "--out", work.at("out")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  work.refused(arguments, testing::kFailed, {"/teacher: " + place + ": expected finite values"});
}

TEST(QuantizeOfWhatOverflows, IsRefusedWhereNoTextIsNeeded) {
  const ModelConfig config = testing::wide_config();
  expect_not_finite(config, "nvfp4_w4a16", "model.layers.1.mlp.down_proj.weight", 3e38f, "model.layers.1");
  expect_not_finite(config, "nvfp4_w4a16", "model.norm.weight", 3e38f, "model.norm");
  expect_not_finite(config, "int4_w4a16", "lm_head.weight", 3e38f, "lm_head", {"--layout", "compressed_tensors"});
  ModelConfig tied = config;
  tied.tie_word_embeddings = true;
  expect_not_finite(tied, "nvfp4_w4a16", "model.layers.0.self_attn.o_proj.weight", 1e30f, "model.layers.0");
}

TEST(QuantizeOfWhatOverflows, IsRefusedAfterCalibration) {
  const ModelConfig config = testing::wide_config();
  const Arguments text = {"calibrate.source={text: \"" + std::string(QAD_SOURCE_DIR) + "/README.md\"}",
                          "calibrate.tokens=128", "data.sequence_length=64"};
  expect_not_finite(config, "nvfp4_w4a4", "model.layers.1.mlp.down_proj.weight", 3e38f, "model.layers.1", text);
  expect_not_finite(config, "nvfp4_w4a4", "lm_head.weight", 3e38f, "lm_head", text);
  Arguments by_block = text;
  by_block.push_back("calibrate.algorithm=local_hessian");
  expect_not_finite(config, "nvfp4_w4a4", "model.layers.1.mlp.down_proj.weight", 3e38f, "model.layers.1", by_block);
  expect_not_finite(config, "nvfp4_w4a4", "lm_head.weight", 3e38f, "lm_head", by_block);
}

TEST(QuantizeOfWhatOverflows, IsRefusedInHybrids) {
  ModelConfig config = testing::small_hybrid("nemotron_h");
  config.vocab_size = testing::wide_config().vocab_size;
  const auto model = initialize_model(config, 3);
  std::string last;
  for (const ParameterPointer& parameter : model->parameters())
    if (parameter->name.ends_with("mixer.out_proj.weight")) last = parameter->name;
  ASSERT_FALSE(last.empty());
  expect_not_finite(config, "nvfp4_w4a16", last, 3e38f, last.substr(0, last.find(".mixer")));
}

}  // namespace
}  // namespace qad
