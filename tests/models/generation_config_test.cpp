// What ends a text, as transformers' generate has it, and how a folder asks for text to be written.
#include "models/families/generation_config.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "models/families/hf_config.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::error_of;
using EosIds = std::vector<std::int64_t>;

// Of a folder whose config.json names these end tokens and whose generation_config.json says this; empty: none.
EosIds ends(const std::string& in_config, const std::string& generation) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "config.json",
                        R"({"model_type": "llama", "vocab_size": 300, "hidden_size": 8, "intermediate_size": 8,
                            "num_hidden_layers": 1, "num_attention_heads": 1, "eos_token_id": )" +
                            in_config + "}");
  if (!generation.empty()) write_file_atomically(folder / "generation_config.json", generation);
  return read_hf_config(folder.path()).eos_token_id;
}

TEST(EndTokens, OfGenerationConfigCountInPlaceOfThoseOfConfig) {
  // As transformers 5.24 has them in _prepare_generation_config and _prepare_special_tokens.
  EXPECT_EQ(ends("2", ""), EosIds({2}));
  EXPECT_EQ(ends("[2, 5]", ""), EosIds({2, 5}));
  EXPECT_EQ(ends("null", ""), EosIds());
  EXPECT_EQ(ends("2", R"({"eos_token_id": 7})"), EosIds({7}));
  EXPECT_EQ(ends("2", R"({"eos_token_id": [7, 9]})"), EosIds({7, 9}));
  EXPECT_EQ(ends("[2, 5]", R"({"eos_token_id": 5})"), EosIds({5}));
  EXPECT_EQ(ends("null", R"({"eos_token_id": 7})"), EosIds({7}));
  EXPECT_EQ(ends("2", R"({"eos_token_id": 7.0})"), EosIds({7}));
  EXPECT_EQ(ends("2", "{}"), EosIds());
  EXPECT_EQ(ends("2", R"({"eos_token_id": null})"), EosIds());
  EXPECT_EQ(ends("2", R"({"eos_token_id": -1})"), EosIds());
  for (const char* bad : {R"("7")", "true", "[7, null]", "7.5", "4294967296", "{}"})
    testing::expect_mentions(error_of([&] { ends("2", std::string(R"({"eos_token_id": )") + bad + "}"); }),
                             {"generation_config.json: expected an eos_token_id of one id, a list of them or null"});
  testing::expect_mentions(error_of([] { ends("2", "["); }), {"generation_config.json", "expected JSON"});
  testing::expect_mentions(error_of([] { ends("2", "[]"); }), {"generation_config.json: expected a JSON object"});
}

GenerationSettings settings(const std::string& generation, const std::string& config = "{}") {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "config.json", config);
  if (!generation.empty()) write_file_atomically(folder / "generation_config.json", generation);
  return read_generation_settings(folder.path());
}

TEST(GenerationSettings, AreThoseOfTransformers) {
  const GenerationSettings plain = settings("");
  EXPECT_FALSE(plain.samples);
  EXPECT_TRUE(plain.ignored.empty());
  EXPECT_FALSE(settings(R"({"temperature": 0.6, "top_k": 5})").samples);
  const GenerationSettings defaults = settings(R"({"do_sample": true, "temperature": null})");
  EXPECT_TRUE(defaults.samples);
  EXPECT_EQ(defaults.temperature, 1.0);
  EXPECT_EQ(defaults.top_k, 50);
  EXPECT_EQ(defaults.top_p, 1.0);
  const GenerationSettings own = settings(R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95})");
  EXPECT_EQ(own.temperature, 0.6);
  EXPECT_EQ(own.top_k, 20);
  EXPECT_EQ(own.top_p, 0.95);
  // Older models have them in config.json, which counts only without the other file.
  EXPECT_TRUE(settings("", R"({"do_sample": true})").samples);
  EXPECT_FALSE(settings("{}", R"({"do_sample": true})").samples);
}

TEST(GenerationSettings, TellWhatNothingHereDoes) {
  EXPECT_EQ(settings(R"({"repetition_penalty": 1.3, "suppress_tokens": [7], "forced_eos_token_id": 2, "num_beams": 4,
                         "stop_strings": "x", "min_new_tokens": 3})")
                .ignored,
            (std::vector<std::string>{"forced_eos_token_id 2", "min_new_tokens 3", "num_beams 4",
                                      "repetition_penalty 1.3", "stop_strings \"x\"", "suppress_tokens [7]"}));
  EXPECT_TRUE(settings(R"({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": null, "num_beams": 1,
                           "suppress_tokens": [], "token_healing": false, "min_p": 0.1, "max_length": 4096,
                           "pad_token_id": 0, "transformers_version": "5.24.0"})")
                  .ignored.empty());
  EXPECT_EQ(settings(R"({"do_sample": true, "min_p": 0.1, "typical_p": 1.0})").ignored,
            std::vector<std::string>{"min_p 0.1"});
}

TEST(GenerationSettings, RefuseWhatTransformersCantUse) {
  for (const char* bad : {R"({"do_sample": 1})", R"({"do_sample": true, "temperature": 0})",
                          R"({"do_sample": true, "temperature": "hot"})", R"({"do_sample": true, "top_k": 1.5})",
                          R"({"do_sample": true, "top_k": -1})", R"({"do_sample": true, "top_p": 1.5})"})
    testing::expect_mentions(error_of([&] { static_cast<void>(settings(bad)); }), {"generation_config.json: expected"});
}

}  // namespace
}  // namespace qad
