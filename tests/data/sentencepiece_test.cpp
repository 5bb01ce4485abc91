// SentencePiece models, trained here by the library, against the library itself.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <fstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/random.h"
#include "data/tasks/synthetic.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::error_of;
using testing::TemporaryFolder;

const std::vector<std::string> kTexts = {
    "",
    " ",
    "  two  spaces  ",
    "The quick brown fox jumps over the lazy dog.",
    "tabs\t\tand\nlines\r\n\n",
    "naïve Straße Żółć e\u0301 ﬁ Ⅷ ２",
    "Привет мир, Ελληνικά, 你好世界, こんにちは, 한국어, שלום, مرحبا",
    "\U0001F600\U0001F468\u200d\U0001F469 ok \u00a0\u3000\u2028",
    "▁a ▁▁ b <0x41> <un k>",
    "def scale(block):\n    return max(abs(x) for x in block) / 6",
    std::string("\x00\x01\x7f", 3),
};

// Those, and random words of them and of stray characters.
std::vector<std::string> lines() {
  std::vector<std::string> all = kTexts;
  Random random(3, stream_of("lines"));
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (std::int64_t part = random.below(8); part >= 0; --part) {
      const std::string& from =
          kTexts[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(kTexts.size())))];
      const std::size_t space = from.find(' ');
      text += random.below(3) == 0 || space == std::string::npos ? from : from.substr(0, space + 1);
    }
    all.push_back(text);
  }
  return all;
}

class SentencePiece : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    SyntheticConfig config;
    config.documents = 300;
    {
      std::ofstream text(folder_ / "text");
      for (const std::string& document : synthetic_documents(config)) text << document << '\n';
      for (const std::string& line : kTexts) text << line.c_str() << '\n';
    }
    const std::string base = " --input=" + (folder_ / "text").string() +
                             " --model_prefix=" + (folder_ / "tokenizer").string() +
                             " --vocab_size=420 --hard_vocab_limit=false --minloglevel=2 --num_threads=1";
    ASSERT_TRUE(sentencepiece::SentencePieceTrainer::Train(GetParam() + base).ok());
    ASSERT_TRUE(library_.Load((folder_ / "tokenizer.model").string()).ok());
  }
  void config(const std::string& json) { write_file_atomically(folder_ / "tokenizer_config.json", json); }

  TemporaryFolder folder_;
  sentencepiece::SentencePieceProcessor library_;
};

TEST_P(SentencePiece, EqualsTheLibrary) {
  const auto tokenizer = load_tokenizer(folder_.path());
  for (const std::string& text : lines()) {
    const std::vector<int> expected = library_.EncodeAsIds(text);
    const Ids ids = tokenizer->encode(text, false);
    EXPECT_EQ(ids, Ids(expected.begin(), expected.end())) << text;
    EXPECT_EQ(tokenizer->decode(ids), library_.DecodeIds(expected)) << text;
  }
  EXPECT_EQ(tokenizer->vocabulary_size(), library_.GetPieceSize());
  EXPECT_EQ(tokenizer->bos(), library_.bos_id());
  EXPECT_EQ(tokenizer->eos(), library_.eos_id());
  EXPECT_EQ(tokenizer->unk(), library_.unk_id());
  EXPECT_EQ(tokenizer->id_of("▁the"), library_.PieceToId("▁the"));
  EXPECT_EQ(tokenizer->id_of("no such piece"), std::nullopt);
  EXPECT_NE(error_of([&] { static_cast<void>(tokenizer->encode("a\xff")); }).find("offset 1"), std::string::npos);
}

TEST_P(SentencePiece, FilesSayWhatGoesAroundAText) {
  const std::int32_t bos = library_.bos_id(), eos = library_.eos_id();
  EXPECT_EQ(load_tokenizer(folder_.path())->encode("").size(), 1u);
  EXPECT_EQ(load_tokenizer(folder_.path())->encode(""), Ids{bos});
  config(R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(load_tokenizer(folder_.path())->encode(""), Ids{eos});
}

TEST_P(SentencePiece, FindsControlPiecesAndAddedTokens) {
  config(R"({"added_tokens_decoder": {"900": {"content": "<|im_end|>", "special": true}, "901": {"content": "<x>"}}})");
  const auto tokenizer = load_tokenizer(folder_.path());
  const std::int32_t size = library_.GetPieceSize();  // tokens count on from here, whatever ids the file gives them
  EXPECT_EQ(tokenizer->vocabulary_size(), size + 2);
  EXPECT_EQ(tokenizer->own_vocabulary_size(), size);
  const Ids ids = tokenizer->encode("<s>the fox</s><x><|im_end|><unk>the", false);
  const std::vector<int> fox = library_.EncodeAsIds("the fox"), the = library_.EncodeAsIds("the");
  Ids expected{library_.bos_id()};
  expected.insert(expected.end(), fox.begin(), fox.end());
  expected.insert(expected.end(), {library_.eos_id(), size + 1, size, library_.unk_id()});
  expected.insert(expected.end(), the.begin(), the.end());
  EXPECT_EQ(ids, expected);
  const Ids known = tokenizer->encode("<s>the fox</s><x><|im_end|>the", false);
  EXPECT_EQ(tokenizer->decode(known, false), "<s>the fox</s><x><|im_end|>the");
  EXPECT_EQ(tokenizer->decode(known), "the fox<x>the");
  EXPECT_EQ(tokenizer->id_of("<|im_end|>"), size);
  EXPECT_EQ(tokenizer->token(size + 1)->text, "<x>");
  EXPECT_EQ(tokenizer->token(library_.PieceToId("\u2581the"))->text, "\u2581the");

  const TemporaryFolder copy;
  tokenizer->save(copy.path());
  const auto again = load_tokenizer(copy / "tokenizer.model");
  EXPECT_EQ(again->encode("<s>the fox</s><x><|im_end|><unk>the", false), expected);
}

TEST_P(SentencePiece, TakesTokensOfTheOtherFilesToo) {
  config(R"({"eos_token": "<|im_end|>", "add_eos_token": true, "pad_token": "<pad>"})");
  write_file_atomically(folder_ / "added_tokens.json", R"({"<x>": 1000, "<|im_end|>": 1001})");
  write_file_atomically(folder_ / "special_tokens_map.json", R"({"bos_token": "<x>"})");
  const auto tokenizer = load_tokenizer(folder_.path());
  const std::int32_t size = library_.GetPieceSize();
  EXPECT_EQ(tokenizer->bos(), size);
  EXPECT_EQ(tokenizer->eos(), size + 1);
  EXPECT_EQ(tokenizer->pad(), size + 2);
  EXPECT_EQ(tokenizer->encode("<pad>"), (Ids{size, size + 2, size + 1}));
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePiece,
                         ::testing::Values("--model_type=unigram", "--model_type=bpe --byte_fallback=true"));

TEST(SentencePieceFile, RefusesOtherBytes) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.model", "IQ== 0\nIg== 1\n");
  EXPECT_NE(error_of([&] {
              static_cast<void>(load_tokenizer(folder.path()));
            }).find("tokenizer.model: expected a model of SentencePiece"),
            std::string::npos);
}

}  // namespace
}  // namespace qad
