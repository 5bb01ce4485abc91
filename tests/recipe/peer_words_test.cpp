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
                           "drop_layers"}) {
    const std::string_view ours = our_word_for(word);
    const std::string key(ours.substr(0, ours.find_first_of(" :,;")));
    EXPECT_NE(std::ranges::find(known, key), known.end()) << word << " -> " << key;
  }
}

}  // namespace
}  // namespace qad
