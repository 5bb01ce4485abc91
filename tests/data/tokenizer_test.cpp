// Tokenizers against the ids of Hugging Face's `tokenizers` (golden/tokenizers.json, made by
// scripts/make_tokenizer_goldens.py) and against the prompts that come with the story models.
#include "data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/files/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/nfc.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::error_of;
using testing::shared_data;
using testing::TemporaryFolder;

nlohmann::json json_file(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_file(path, "test data"));
}

void check_group(const nlohmann::json& group, const Tokenizer& tokenizer) {
  for (const auto& one : group.at("cases")) {
    const std::string text = one.at("text");
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(ids, one.at("ids").get<Ids>()) << group.at("name") << ": " << one.at("text").dump();
    EXPECT_EQ(tokenizer.decode(ids, false), one.at("decoded").get<std::string>()) << group.at("name") << ": " << text;
  }
}

TEST(Tokenizer, EqualsHuggingFaceOnOurOwnTokenizers) {
  const TemporaryFolder folder;
  int groups = 0;
  for (const auto& group : json_file(testing::source_dir() / "tests/data/golden/tokenizers.json")) {
    if (!group.contains("tokenizer")) continue;
    write_file_atomically(folder / "tokenizer.json", group.at("tokenizer").dump());
    check_group(group, *load_tokenizer(folder.path()));
    ++groups;
  }
  EXPECT_EQ(groups, 4);
}

TEST(Tokenizer, EqualsHuggingFaceOnGpt2AndNeoX) {
  QAD_REQUIRE_SHARED_DATA();
  for (const auto& group : json_file(testing::source_dir() / "tests/data/golden/tokenizers.json"))
    if (group.contains("file"))
      check_group(group, *load_tokenizer(shared_data() / group.at("file").get<std::string>()));
}

TEST(Tokenizer, Gpt2GivesTextsBack) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = shared_data() / "tokenizer-gpt2";
  const auto tokenizer = load_tokenizer(folder / "gpt2_vocab.json");
  EXPECT_EQ(tokenizer->vocabulary_size(), 50257);
  EXPECT_EQ(tokenizer->eos(), 50256);
  for (const char* name : {"address.txt", "german.txt", "corpus.en", "tinystories_sample.txt"}) {
    const std::string text = read_file(folder / name, "a text");
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text), false), text) << name;
  }
}

TEST(Tokenizer, EncodesThePromptsOfTheStoryModels) {
  QAD_REQUIRE_SHARED_DATA();
  const auto hf = json_file(shared_data() / "tinystories-656k-hf/expected.json");
  const auto tokenizer = load_tokenizer(shared_data() / "tinystories-656k-hf");
  EXPECT_EQ(tokenizer->encode(hf.at("prompt").get<std::string>()), hf.at("prompt_ids").get<Ids>());
  EXPECT_EQ(tokenizer->encode(hf.at("sentence").get<std::string>()), hf.at("sentence_ids").get<Ids>());
  std::string text = tokenizer->decode(hf.at("greedy_ids").get<Ids>());
  text.resize(text.size() - trailing_white_space(text));  // as the stored text
  EXPECT_EQ(text, hf.at("greedy_text").get<std::string>());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->unk(), 0);

  const auto llama2c = json_file(shared_data() / "tinyllamas-stories260k/expected.json");
  const auto small = load_tokenizer(shared_data() / "tinyllamas-stories260k/tok512.bin");
  EXPECT_EQ(small->vocabulary_size(), 512);
  EXPECT_EQ(small->encode(llama2c.at("sentence").get<std::string>()), llama2c.at("sentence_ids").get<Ids>());
  EXPECT_EQ(small->decode(llama2c.at("greedy_from_bos").get<Ids>()), llama2c.at("greedy_text").get<std::string>());
  EXPECT_EQ(small->decode(small->encode("caf\u00e9 \u4f60\u597d")), "caf\u00e9 \u4f60\u597d");
}

TEST(Tokenizer, BytesAreIdsAndSurviveSaving) {
  const auto bytes = load_tokenizer("bytes");
  EXPECT_EQ(bytes->encode("A\u00e9"), (Ids{256, 0x41, 0xc3, 0xa9}));
  EXPECT_EQ(bytes->encode("A<|endoftext|>", false), (Ids{0x41, 257}));
  EXPECT_EQ(bytes->vocabulary_size(), 258);
  EXPECT_EQ(bytes->decode(Ids{256, 0x41, 0xc3}), "A\ufffd");
  const TemporaryFolder folder;
  bytes->save(folder.path());
  const auto again = load_tokenizer(folder.path());
  const std::string text = "any text \u2603\n";
  EXPECT_EQ(again->encode(text), bytes->encode(text));
  EXPECT_EQ(again->decode(again->encode(text)), text);
  EXPECT_EQ(again->bos(), 256);
  EXPECT_EQ(again->eos(), 257);
  EXPECT_EQ(again->id_of("<|endoftext|>"), 257);
}

TEST(Tokenizer, LongRunsTakeNoQuadraticTime) {
  QAD_REQUIRE_SHARED_DATA();
  const auto tokenizer = load_tokenizer(shared_data() / "tinystories-656k-hf");  // merges run over the whole text
  const std::string text(400000, 'a');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(Tokenizer, RefusesWhatItCannotReadByName) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& contents) {
    write_file_atomically(folder / "tokenizer.json", contents);
    return error_of([&] { static_cast<void>(load_tokenizer(folder.path())); });
  };
  EXPECT_NE(message("{\"model\": ").find("tokenizer.json:1:10: expected JSON, got syntax error"), std::string::npos);
  EXPECT_NE(message("{}").find("the layout of a Hugging Face tokenizer.json"), std::string::npos);
  EXPECT_NE(message(R"({"model": {"type": "Unigram", "vocab": []}})").find("got Unigram"), std::string::npos);
  EXPECT_NE(message(R"({"normalizer": {"type": "Lowercase"}, "model": {"type": "BPE", "vocab": {}, "merges": []}})")
                .find("expected a normalizer among NFC, Prepend, Replace and Sequence, got Lowercase"),
            std::string::npos);
  EXPECT_NE(
      message(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})").find("merge of \"a\" and \"b\""),
      std::string::npos);
  EXPECT_NE(message(R"({"model": {"type": "BPE", "vocab": {"a": -7}, "merges": []}})").find("got -7"),
            std::string::npos);
  EXPECT_NE(message(R"({"model": {"type": "BPE", "vocab": {"a": 25e111}, "merges": []}})").find("got 2.5e+112"),
            std::string::npos);
  EXPECT_NE(message(R"({"decoder": {"type": "Strip", "content": " ", "start": 1e300, "stop": 0},
                        "model": {"type": "BPE", "vocab": {}, "merges": []}})")
                .find("numbers from 0 to 16777215, got 1e+300"),
            std::string::npos);
  EXPECT_NE(message(R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"},
                       "model": {"type": "BPE", "vocab": {}, "merges": []}})")
                .find("a regular expression"),
            std::string::npos);
  EXPECT_NE(error_of([&] { static_cast<void>(load_tokenizer(folder / "absent")); }).find("no such file"),
            std::string::npos);
  write_file_atomically(folder / "tokenizer.bin", "\x07");
  EXPECT_NE(error_of([&] { static_cast<void>(load_tokenizer(folder / "tokenizer.bin")); }).find("at least 259 tokens"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              check_vocabulary(*load_tokenizer("bytes"), 256, "teacher");
            }).find("within the model's vocabulary of 256, got 258"),
            std::string::npos);
}

TEST(Utf8, NamesTheFirstInvalidByte) {
  for (const char* bad : {"12345678abc\xff", "12345678abc\xc0\x80", "12345678abc\xed\xa0\x80", "12345678abc\xe2\x82",
                          "12345678abc\xf4\x90\x80\x80"})
    EXPECT_NE(
        error_of([&] { check_utf8(bad, "stories.txt", 100); }).find("stories.txt: expected UTF-8 text, got byte 0x"),
        std::string::npos);
  EXPECT_NE(error_of([] { check_utf8("12345678abc\xff", "x", 100); }).find("byte 0xff at offset 111"),
            std::string::npos);
  EXPECT_NE(error_of([] { static_cast<void>(load_tokenizer("bytes")->encode("\x80")); }).find("offset 0"),
            std::string::npos);
  EXPECT_EQ(replace_invalid_utf8("a\xe2\x82z\xff"), "a\ufffdz\ufffd");
}

TEST(Nfc, ComposesOrdersAndTakesApart) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(to_nfc("a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(to_nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(to_nfc("\u0958\u212b\u0344"), "\u0915\u093c\u00c5\u0308\u0301");
}

}  // namespace
}  // namespace qad
