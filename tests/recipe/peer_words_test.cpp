// Words of other trainers lead to keys that a recipe has.
#include "qad/recipe/peer_words.h"

#include <gtest/gtest.h>

#include "qad/recipe/recipe.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

TEST(PeerWords, LeadToOurs) {
  EXPECT_EQ(our_word_for("learning_rate"), "train.lr");
  EXPECT_EQ(our_word_for("Learning-Rate"), "train.lr");
  EXPECT_EQ(our_word_for("max_seq_len"), "data.sequence_length");
  EXPECT_EQ(our_word_for("lr"), "");
}

TEST(PeerWords, StandInTheHintOfAnUnknownKey) {
  const std::string error = testing::error_of([] {
    static_cast<void>(parse_recipe("kind: qad\ntrain:\n  learning_rate: 1.0e-4\n  num_train_epochs: 3\n", "mine.yaml"));
  });
  testing::expect_mentions(error, {"mine.yaml:3:3: train: unknown key \"learning_rate\" (here that is train.lr)",
                                   "unknown key \"num_train_epochs\" (here that is train.steps"});
}

TEST(PeerWords, AndKeysOfOursThatStandElsewhere) {
  const auto hints = [](const std::string& text, std::initializer_list<const char*> words) {
    const std::string error = testing::error_of([&] { static_cast<void>(parse_recipe("kind: qad\n" + text, "r")); });
    for (const char* word : words) EXPECT_NE(error.find(word), std::string::npos) << word << "\n" << error;
  };
  hints("lr: 1\n", {"unknown key \"lr\" (here that is train.lr)"});
  hints("tokenizer: x\n", {"unknown key \"tokenizer\" (here that is data.tokenizer)"});
  hints("train: {seed: 1, temperature: 2}\n",
        {"unknown key \"seed\" (here that is seed at the top level)", "(here that is loss.temperature)"});
  hints("optimizer: {lr: 1, weight_decay: 0}\n", {"(here that is train.adamw, its lr train.lr)"});
  hints("train: {optimizer: {lr: 1}}\n", {"(here that is train.adamw, its lr train.lr)"});
  hints("teacher: {path: x, name_or_path: y}\n",
        {"\"path\" (here that is teacher.model)", "\"name_or_path\" (here that is teacher.model)"});
  hints("data: {train: {path: x}}\n", {"\"path\" (here that is data.train.text, or"});
  hints("calibrate: {method: max, num_samples: 512}\n",
        {"(here that is calibrate.algorithm)", "(here that is calibrate.tokens)"});
  hints("train: {tokens: 3}\n", {"unknown key \"tokens\" (known: steps"});  // several have that
}

// The first word of each hint that looks like a key is one.
TEST(PeerWords, NameKeysThatExist) {
  std::vector<std::string> known;
  for (const KeyDescription& key : describe_recipe()) known.push_back(key.key);
  for (const char* word : {"learning_rate",
                           "weight_decay",
                           "max_grad_norm",
                           "save_steps",
                           "eval_steps",
                           "calib_size",
                           "kv_cache_qformat",
                           "seq_len",
                           "model_name_or_path",
                           "lr_scheduler_type",
                           "betas",
                           "eps",
                           "gradient_checkpointing",
                           "kd_temperature",
                           "save_total_limit",
                           "shuffle",
                           "report_to",
                           "ffn_hidden_size",
                           "num_layers",
                           "num_query_groups",
                           "drop_layers",
                           "quant_algo",
                           "kv_cache_scheme",
                           "num_calib_samples",
                           "calibrate.method",
                           "teacher.path",
                           "data.train.path",
                           "temperature",
                           "precision"}) {
    const std::string_view ours = our_word_for(word);
    const std::string key(ours.substr(0, ours.find_first_of(" :,;")));
    EXPECT_NE(std::ranges::find(known, key), known.end()) << word << " -> " << key;
  }
}

}  // namespace
}  // namespace qad
