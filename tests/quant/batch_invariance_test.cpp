// What a sequence's logits depend on while it is decoded: its tokens, and nothing that is computed beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/tape/batch_invariant.h"
#include "models/decode/generate.h"
#include "qad/calib/calibrate.h"
#include "qad/quant/attach.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;
using Logits = std::vector<std::vector<float>>;  // of each token

std::vector<Ids> random_sequences(std::int64_t count, Random& random) {
  std::vector<Ids> sequences(static_cast<std::size_t>(count));
  for (Ids& ids : sequences)
    for (std::int64_t t = 1 + random.below(40); t > 0; --t) ids.push_back(static_cast<std::int32_t>(random.below(64)));
  return sequences;
}

struct Piece {
  std::size_t sequence;
  std::int64_t tokens;
};

// Reads sequences piece by piece, the pieces of a turn as one batch.
class Reader {
 public:
  Reader(LanguageModel& model, const std::vector<Ids>& sequences)
      : model_(model),
        sequences_(sequences),
        state_(model.make_state(static_cast<std::int64_t>(sequences.size()), 48)),
        logits_(sequences.size()) {}

  [[nodiscard]] std::int64_t left(std::size_t sequence) const {
    return std::ssize(sequences_[sequence]) - std::ssize(logits_[sequence]);
  }
  void turn(const std::vector<Piece>& pieces) {
    const NoGradScope no_grad;
    const BatchInvariantScope invariant;
    TokenBatch batch;
    std::vector<SequencePart> parts;
    for (const auto& [sequence, tokens] : pieces) {
      const std::int64_t read = std::ssize(logits_[sequence]), begin = std::ssize(batch.ids);
      for (std::int64_t t = read; t < read + tokens; ++t) {
        batch.ids.push_back(sequences_[sequence][static_cast<std::size_t>(t)]);
        batch.positions.push_back(static_cast<std::int32_t>(t));
      }
      parts.push_back({begin, begin + tokens, static_cast<std::int64_t>(sequence), read});
    }
    const Tensor logits = logits_of(model_, model_.hidden_states(batch, parts, state_).value());
    for (std::size_t i = 0; i < pieces.size(); ++i)
      for (std::int64_t row = parts[i].begin; row < parts[i].end; ++row) {
        const float* const first = logits.data() + row * logits.cols();
        logits_[pieces[i].sequence].emplace_back(first, first + logits.cols());
      }
  }
  [[nodiscard]] const std::vector<Logits>& logits() const { return logits_; }

 private:
  LanguageModel& model_;
  const std::vector<Ids>& sequences_;
  DecodingState state_;
  std::vector<Logits> logits_;
};

// Each sequence for itself, token by token.
std::vector<Logits> alone(LanguageModel& model, const std::vector<Ids>& sequences) {
  std::vector<Logits> result;
  for (const Ids& ids : sequences) {
    const std::vector<Ids> one = {ids};
    Reader reader(model, one);
    while (reader.left(0) > 0) reader.turn({{0, 1}});
    result.push_back(reader.logits()[0]);
  }
  return result;
}

// Pieces of any length of some sequences, in any order.
std::vector<Logits> mixed(LanguageModel& model, const std::vector<Ids>& sequences, Random& random) {
  Reader reader(model, sequences);
  for (;;) {
    std::vector<Piece> pieces;
    for (std::size_t s = 0; s < sequences.size(); ++s)
      if (reader.left(s) > 0 && random.below(3) > 0) pieces.push_back({s, 1 + random.below(reader.left(s))});
    for (std::size_t i = pieces.size(); i > 1; --i)
      std::swap(pieces[i - 1], pieces[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
    if (!pieces.empty()) reader.turn(pieces);
    bool done = true;
    for (std::size_t s = 0; s < sequences.size(); ++s) done = done && reader.left(s) == 0;
    if (done) return reader.logits();
  }
}

ModelConfig windowed() {
  ModelConfig config = testing::small_config();
  config.model_type = "mistral";
  config.sliding_window = 7;
  return config;
}

ModelConfig with_every_part() {
  ModelConfig config = testing::small_config(false);
  config.model_type = "qwen3";
  config.attention_bias = config.attention_output_bias = config.qk_norm = true;
  return config;
}

ModelConfig with_experts() {
  ModelConfig config = testing::small_config(false);
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.experts = ExpertsConfig{.num_experts = 6, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
  return config;
}

ModelConfig with_latent_attention() {
  ModelConfig config = testing::small_config(false);
  config.model_type = "deepseek_v3";
  config.num_key_value_heads = config.num_attention_heads;
  config.head_dim = 16;
  config.latent_attention = LatentAttentionConfig{
      .q_lora_rank = 32, .kv_lora_rank = 32, .qk_nope_head_dim = 16, .qk_rope_head_dim = 16, .v_head_dim = 16};
  config.experts = ExpertsConfig{.num_experts = 8,
                                 .num_experts_per_tok = 2,
                                 .moe_intermediate_size = 64,
                                 .first_k_dense_replace = 1,
                                 .n_shared_experts = 1,
                                 .n_group = 4,
                                 .topk_group = 2,
                                 .scoring_func = ScoringFunction::sigmoid,
                                 .routed_scaling_factor = 2.5};
  return config;
}

class BatchInvariance : public ::testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(BatchInvariance, LogitsAreThoseOfASequenceAlone) {
  const auto& [kind, weights, inputs] = GetParam();
  const std::map<std::string, ModelConfig> configs = {{"llama", testing::small_config()},
                                                      {"mistral", windowed()},
                                                      {"qwen3", with_every_part()},
                                                      {"experts", with_experts()},
                                                      {"latent", with_latent_attention()}};
  ModelConfig model_config = configs.at(kind);
  model_config.intermediate_size = 64;  // whole blocks of every format
  model_config.tie_word_embeddings = model_config.tie_word_embeddings && weights == std::string("dense");
  const auto model = initialize_model(model_config, 5);
  std::optional<QuantizerSet> quantizers;
  if (weights != std::string("dense")) {
    QuantizeConfig config;
    config.rules = {{"*", weights, inputs}};
    if (!model_config.latent_attention) config.kv_cache = "fp8";
    quantizers = attach_quantizers(*model, config);
    calibrate(*model, *quantizers, {testing::small_batch()}, {TensorScaleSource::calibration});
  }
  Random random(7, 1);
  const std::vector<Ids> sequences = random_sequences(6, random);
  const std::vector<Logits> expected = alone(*model, sequences);
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    EXPECT_TRUE(mixed(*model, sequences, random) == expected) << count << " threads";
  }
  set_threads(0);
}

INSTANTIATE_TEST_SUITE_P(Models, BatchInvariance,
                         ::testing::Combine(::testing::Values("llama", "mistral", "qwen3", "experts", "latent"),
                                            ::testing::Values("dense"), ::testing::Values("none")));
INSTANTIATE_TEST_SUITE_P(Quantized, BatchInvariance,
                         ::testing::Combine(::testing::Values("llama", "experts", "latent"),
                                            ::testing::Values("nvfp4", "mxfp4", "fp8"),
                                            ::testing::Values("none", "nvfp4", "mxfp4", "fp8")));

// Text that is chosen greedily is the same alone and in a batch.
TEST(BatchInvariance, TextDoesNotDependOnTheBatch) {
  const auto model = initialize_model(with_every_part(), 8);
  Random random(9, 1);
  std::vector<Ids> prompts = random_sequences(7, random);
  GenerateConfig config;
  config.max_tokens = 60;
  config.temperature = 0.8;
  const auto together = generate(*model, prompts, config);
  for (std::size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(generate(*model, {prompts[i]}, config, static_cast<std::int64_t>(i))[0].ids, together[i].ids);
}

}  // namespace
}  // namespace qad
