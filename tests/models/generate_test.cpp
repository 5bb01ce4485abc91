// Decoding: with a cache and many sequences at a time it says what whole forwards of single sequences say.
#include "models/decode/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/base/interrupt.h"
#include "models/decode/decoding_layout.h"
#include "models/import/model_folder.h"
#include "tests/layouts/expert_student.h"
#include "tests/support/hybrid_models.h"
#include "tests/support/near.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using Prompts = std::vector<std::vector<std::int32_t>>;

std::unique_ptr<LanguageModel> loud_model() {
  ModelConfig sizes = testing::small_config();
  sizes.vocab_size = 50;
  sizes.initializer_range = 0.3;
  return initialize_model(sizes, 3);
}

TokenBatch one_segment(const std::vector<std::int32_t>& ids) {
  TokenBatch batch;
  batch.ids = ids;
  for (std::size_t t = 0; t < ids.size(); ++t) batch.positions.push_back(static_cast<std::int32_t>(t));
  batch.segments = {{0, static_cast<std::int32_t>(ids.size())}};
  return batch;
}

// Greedy, by a forward of the whole text for each token.
std::vector<std::int32_t> continued(LanguageModel& model, std::vector<std::int32_t> ids, std::size_t length) {
  const NoGradScope no_grad;
  while (ids.size() < length) {
    const Tensor logits = logits_of(model, model.hidden_states(one_segment(ids)).value());
    const auto last = logits.span().last(static_cast<std::size_t>(logits.cols()));
    ids.push_back(static_cast<std::int32_t>(std::ranges::max_element(last) - last.begin()));
  }
  return ids;
}

// Prompts of all lengths, so that sequences end and others take their place at different times.
Prompts ragged_prompts() {
  Prompts prompts;
  for (std::int32_t i = 0; i < 11; ++i) {
    prompts.emplace_back();
    for (std::int32_t t = 0; t <= i * 5 % 7; ++t) prompts.back().push_back((i * 13 + t * 7) % 50);
  }
  return prompts;
}

TEST(Generate, CacheAndBatchChangeNothing) {
  const auto model = loud_model();
  const Prompts prompts = ragged_prompts();
  GenerateConfig config;
  config.max_tokens = 20;
  for (const std::int64_t batch : {1, 3, 4, 100}) {
    config.batch = batch;
    const auto together = generate(*model, prompts, config);
    for (std::size_t s = 0; s < prompts.size(); ++s)
      EXPECT_EQ(together[s].ids, continued(*model, prompts[s], 20)) << s << " of a batch of " << batch;
  }
}

TEST(Generate, LimitsCountTheWholeOrTheContinuation) {
  const auto model = loud_model();
  GenerateConfig config;
  config.max_tokens = 0;
  config.max_new_tokens = 4;
  config.batch = 2;
  for (const GeneratedSequence& text : generate(*model, ragged_prompts(), config)) {
    EXPECT_EQ(text.continuation().size(), 4u);
    EXPECT_FALSE(text.ended);
  }
  config.max_tokens = 5;
  for (const GeneratedSequence& text : generate(*model, ragged_prompts(), config)) {
    const auto room = std::max<std::int64_t>(5 - text.prompt_tokens, 0);
    EXPECT_EQ(std::ssize(text.continuation()), std::min<std::int64_t>(4, room));
  }
}

TEST(Generate, SaysWhichSequencesEnded) {
  ModelConfig sizes = loud_model()->config();
  const auto free_running = generate(*loud_model(), ragged_prompts(), {.max_tokens = 20});
  sizes.eos_token_id = {free_running[0].continuation()[3]};
  const auto model = initialize_model(sizes, 3);
  int ended = 0;
  for (const std::int64_t batch : {2, 100}) {
    const auto texts = generate(*model, ragged_prompts(), {.max_tokens = 20, .batch = batch});
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto whole = free_running[i].continuation();
      const auto end = std::ranges::find(whole, static_cast<std::int32_t>(sizes.eos_token_id[0]));
      EXPECT_EQ(texts[i].ended, end != whole.end());
      const auto text = texts[i].continuation();
      EXPECT_TRUE(std::equal(text.begin(), text.end(), whole.begin(), texts[i].ended ? end + 1 : end));
      ended += texts[i].ended ? 1 : 0;
    }
  }
  EXPECT_GE(ended, 2);
}

TEST(Generate, SamplingDependsOnSeedAndSequenceAlone) {
  const auto model = initialize_model(testing::small_config(), 3);
  GenerateConfig config;
  config.max_tokens = 30;
  config.temperature = 1.0;
  const auto both = generate(*model, {{1}, {1}}, config);
  EXPECT_NE(both[0].ids, both[1].ids);
  EXPECT_EQ(generate(*model, {{1}}, config, 1)[0].ids, both[1].ids);
  config.top_k = 1;
  const auto narrow = generate(*model, {{1}}, config);
  config.temperature = 0.0;
  EXPECT_EQ(narrow[0].ids, generate(*model, {{1}}, config)[0].ids);
}

// Samples of a prompt share its part of the cache; they are what the prompt gives when it stands there several times.
TEST(Generate, SamplesAreThePromptSeveralTimes) {
  const auto model = loud_model();
  const Prompts prompts = ragged_prompts();
  Prompts repeated;
  for (const auto& prompt : prompts) repeated.insert(repeated.end(), 3, prompt);
  const GenerateConfig config{.max_tokens = 20, .temperature = 0.8};
  const auto expected = generate(*model, repeated, config, 5);
  for (const std::int64_t batch : {1, 4, 7, 100}) {
    GenerateConfig sampling = config;
    sampling.samples = 3;
    sampling.batch = batch;
    const auto samples = generate(*model, prompts, sampling, 5);
    ASSERT_EQ(samples.size(), expected.size());
    for (std::size_t i = 0; i < samples.size(); ++i) EXPECT_EQ(samples[i].ids, expected[i].ids) << i;
  }
}

TEST(Generate, SameBitsAtAnyThreadCount) {
  const auto model = loud_model();
  const GenerateConfig config{.max_tokens = 40, .temperature = 1.0, .samples = 8, .batch = 32};
  const auto run = [&] {
    std::vector<std::int32_t> all;
    for (const GeneratedSequence& text : generate(*model, ragged_prompts(), config))
      all.insert(all.end(), text.ids.begin(), text.ids.end());
    return all;
  };
  testing::expect_same_at_any_thread_count("generate", run);
}

// Weights of BF16 in every family that has layers of its own, with widths that are no multiples of a group of rows.
TEST(Generate, LaidOutForDecodingItWritesTheSame) {
  std::vector<ModelConfig> models = {testing::small_config(true), testing::small_config(false),
                                     testing::qwen3_moe_config(), testing::deepseek_v3_config()};
  for (const char* family : testing::kHybrids) models.push_back(testing::small_hybrid(family));
  models[0].intermediate_size = models[1].intermediate_size = 37;
  for (ModelConfig& sizes : models) {
    sizes.vocab_size = 50;
    sizes.initializer_range = 0.3;
    const testing::TemporaryFolder folder;
    save_model(folder.path(), *initialize_model(sizes, 3), DType::bf16);
    const auto plain = load_model(folder.path(), WeightType::file),
               laid_out = load_model(folder.path(), WeightType::file);
    lay_out_for_decoding(*laid_out);
    for (LinearGroup* group : laid_out->linear_groups())
      for (const Linear& member : group->members) EXPECT_FALSE(member.weight->value().defined()) << member.name;
    GenerateConfig config;
    config.max_tokens = 30;
    const auto expected = generate(*plain, ragged_prompts(), config);
    const auto written = generate(*laid_out, ragged_prompts(), config);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(written[i].ids, expected[i].ids) << sizes.model_type;
    const TokenBatch batch = one_segment(expected[3].ids);  // whose products read the matrices by panels
    const NoGradScope no_grad;
    const Tensor before = logits_of(*plain, plain->hidden_states(batch).value());
    const Tensor after = logits_of(*laid_out, laid_out->hidden_states(batch).value());
    EXPECT_TRUE(std::ranges::equal(after.span(), before.span())) << sizes.model_type;
  }
}

TEST(Generate, TellsProgressAndStops) {
  const auto model = loud_model();
  GenerateConfig config;
  config.max_tokens = 20;
  config.batch = 3;
  GenerateProgress last;
  int turns = 0;
  std::vector<std::int32_t> streamed;
  GenerateHooks hooks;
  hooks.progress = [&](const GenerateProgress& progress) {
    EXPECT_GT(progress.tokens, last.tokens);
    last = progress;
    ++turns;
  };
  hooks.token_done = [&](std::int32_t id) { streamed.push_back(id); };
  const auto texts = generate(*model, ragged_prompts(), config, 0, hooks);
  std::size_t written = 0;
  for (const GeneratedSequence& text : texts) written += text.continuation().size();
  EXPECT_EQ(last.sequences, 11);
  EXPECT_EQ(static_cast<std::size_t>(last.tokens), written);
  EXPECT_TRUE(std::ranges::equal(streamed, texts[0].continuation()));

  const int whole = turns;
  const StopQuestion question([&] { return turns >= whole + 2; });
  last = {};
  EXPECT_THROW(static_cast<void>(generate(*model, ragged_prompts(), config, 0, hooks)), Stopped);
  EXPECT_EQ(turns, whole + 2);
}

}  // namespace
}  // namespace qad
