// Tokenizers in llama.cpp's words: which model and pre-tokenizer they are, their tokens with kinds, and what can't be
// said.
#include "qad/layouts/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using OrderedJson = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_mentions;

ModelConfig model_of(std::int64_t vocabulary, std::vector<std::int64_t> ends = {}) {
  ModelConfig config;
  config.vocab_size = vocabulary;
  config.eos_token_id = std::move(ends);
  return config;
}

template <class T>
T at(const GgufMetadata& metadata, const std::string& key) {
  const T* const found = find_metadata<T>(metadata, "tokenizer.ggml." + key);
  EXPECT_NE(found, nullptr) << key;
  return found != nullptr ? *found : T{};
}
std::string model_and_pre(const GgufMetadata& metadata) {
  return at<std::string>(metadata, "model") + " " + at<std::string>(metadata, "pre");
}

// What Llama 3's and Qwen 2's tokenizer.json say.
constexpr const char* kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

OrderedJson words(const std::string& regex) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
}
const OrderedJson kByteLevel = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};

// a, b, c, ab, abc, <end>.
OrderedJson small_bpe(const OrderedJson& pre_tokenizer) {
  return {{"added_tokens", {{{"id", 5}, {"content", "<end>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}}},
            {"merges", {{"a", "b"}, "ab c"}}}}};
}

GgufMetadata said(const OrderedJson& tokenizer, const ModelConfig& config = model_of(6, {5})) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.json", tokenizer.dump());
  return gguf_tokenizer(load_tokenizer(folder.path()).get(), config);
}

TEST(GgufTokenizer, BytesMergeNothing) {
  const auto bytes = load_tokenizer("bytes");
  const GgufMetadata metadata = gguf_tokenizer(bytes.get(), model_of(260));
  EXPECT_EQ(model_and_pre(metadata), "gpt2 gpt-2");
  EXPECT_TRUE(at<std::vector<std::string>>(metadata, "merges").empty());
  const auto tokens = at<std::vector<std::string>>(metadata, "tokens");
  const auto kinds = at<std::vector<std::int32_t>>(metadata, "token_type");
  ASSERT_EQ(tokens.size(), 260u);
  ASSERT_EQ(kinds.size(), 260u);
  EXPECT_EQ(tokens['a'], "a");
  EXPECT_EQ(tokens[' '], "\u0120");  // byte-level vocabularies show a space so
  EXPECT_EQ(kinds['a'], 1);
  EXPECT_EQ(tokens[257], "<|endoftext|>");
  EXPECT_EQ(kinds[257], 3);
  EXPECT_EQ(tokens[259], "[PAD259]");
  EXPECT_EQ(kinds[259], 5);
  EXPECT_EQ(at<std::uint32_t>(metadata, "bos_token_id"), 256u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "eos_token_id"), 257u);
  EXPECT_TRUE(at<bool>(metadata, "add_bos_token"));
  EXPECT_FALSE(at<bool>(metadata, "add_eos_token"));
}

TEST(GgufTokenizer, KnowsPreTokenizersByTheirNames) {
  EXPECT_EQ(model_and_pre(said(small_bpe(kByteLevel))), "gpt2 gpt-2");
  EXPECT_EQ(model_and_pre(said(small_bpe(words(kQwen2Words)))), "gpt2 qwen2");
  EXPECT_EQ(model_and_pre(said(small_bpe(words(kLlama3Words)))), "gpt2 llama-bpe");
  const OrderedJson digits = {{"type", "Sequence"},
                              {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, kByteLevel}}};
  const GgufMetadata metadata = said(small_bpe(digits));
  EXPECT_EQ(model_and_pre(metadata), "gpt2 smollm");
  EXPECT_EQ(at<std::vector<std::string>>(metadata, "merges"), (std::vector<std::string>{"a b", "ab c"}));
  EXPECT_FALSE(at<bool>(metadata, "add_bos_token"));
  EXPECT_EQ(find_metadata<std::uint32_t>(metadata, "tokenizer.ggml.bos_token_id"), nullptr);

  expect_mentions(error_of([] { said(small_bpe(words("\\w+"))); }), {"Qwen 2/3", "split \\w+"});
  OrderedJson spaced = kByteLevel;
  spaced["add_prefix_space"] = true;
  expect_mentions(error_of([&] { said(small_bpe(spaced)); }), {"a space before the text"});
}

TEST(GgufTokenizer, WordsThatAreTokensMustComeOutAlike) {
  OrderedJson tokenizer = small_bpe(words(kLlama3Words));  // llama.cpp doesn't merge them here
  EXPECT_NO_THROW(said(tokenizer));                        // "abc" comes of merging too
  tokenizer["model"]["merges"] = {"a b"};
  expect_mentions(error_of([&] { said(tokenizer); }), {"ignore_merges true"});
  tokenizer["model"]["ignore_merges"] = true;
  EXPECT_NO_THROW(said(tokenizer));
  tokenizer["pre_tokenizer"] = kByteLevel;
  expect_mentions(error_of([&] { said(tokenizer); }), {"ignore_merges false"});
}

TEST(GgufTokenizer, EndsAndTemplates) {
  const GgufMetadata metadata = said(small_bpe(kByteLevel), model_of(8, {5, 3, 4}));
  EXPECT_EQ(at<std::uint32_t>(metadata, "eos_token_id"), 5u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "eot_token_id"), 3u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "eom_token_id"), 4u);
  expect_mentions(error_of([] { said(small_bpe(kByteLevel), model_of(8)); }), {"an end token, got none"});
  expect_mentions(error_of([] { said(small_bpe(kByteLevel), model_of(5, {4})); }), {"vocabulary of 5"});

  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.json", small_bpe(kByteLevel).dump());
  write_file_atomically(folder / "tokenizer_config.json", R"({"eos_token": "<end>", "chat_template": "{{ a }}"})");
  const GgufMetadata chat = gguf_tokenizer(load_tokenizer(folder.path()).get(), model_of(6));
  EXPECT_EQ(*find_metadata<std::string>(chat, "tokenizer.chat_template"), "{{ a }}");
}

TEST(GgufTokenizer, TemplatesWithNames) {
  const testing::TemporaryFolder folder;
  const auto read = [&] { return gguf_tokenizer(load_tokenizer(folder.path()).get(), model_of(6)); };
  const auto expect = [&](const GgufMetadata& chat, const std::string& usual, const std::string& tools) {
    EXPECT_EQ(*find_metadata<std::string>(chat, "tokenizer.chat_template"), usual);
    EXPECT_EQ(*find_metadata<std::string>(chat, "tokenizer.chat_template.tool_use"), tools);
    EXPECT_EQ(*find_metadata<std::vector<std::string>>(chat, "tokenizer.chat_templates"),
              std::vector<std::string>{"tool_use"});
  };
  write_file_atomically(folder / "tokenizer.json", small_bpe(kByteLevel).dump());
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"eos_token": "<end>", "chat_template": [{"name": "default", "template": "a"},
                            {"name": "tool use", "template": "b"}]})");
  expect(read(), "a", "b");
  create_folders(folder / "additional_chat_templates");
  write_file_atomically(folder / "additional_chat_templates/tool_use.jinja", "d");
  write_file_atomically(folder / "chat_template.jinja", "c");
  expect(read(), "c", "d");
}

TEST(GgufTokenizer, SentencePiecesHaveScores) {
  QAD_REQUIRE_SHARED_DATA();
  const auto tokenizer = load_tokenizer(testing::shared_data() / "tinystories-656k-hf");
  const GgufMetadata metadata = gguf_tokenizer(tokenizer.get(), model_of(2048, {2}));
  EXPECT_EQ(model_and_pre(metadata), "llama default");
  EXPECT_TRUE(at<bool>(metadata, "add_space_prefix"));
  EXPECT_TRUE(at<bool>(metadata, "add_bos_token"));
  EXPECT_EQ(at<std::uint32_t>(metadata, "bos_token_id"), 1u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "unknown_token_id"), 0u);
  const auto tokens = at<std::vector<std::string>>(metadata, "tokens");
  const auto scores = at<std::vector<float>>(metadata, "scores");
  const auto kinds = at<std::vector<std::int32_t>>(metadata, "token_type");
  const auto score = [&](const char* token) {
    return scores.at(static_cast<std::size_t>(std::ranges::find(tokens, token) - tokens.begin()));
  };
  EXPECT_EQ(score("e\u2581"), -1.0f);  // merged first
  EXPECT_EQ(score("d\u2581"), -2.0f);
  EXPECT_EQ(score("th"), -3.0f);
  EXPECT_LT(score("e"), -1e5f);
  EXPECT_EQ(kinds.at(0), 2);
  EXPECT_EQ(kinds.at(1), 3);
}

TEST(GgufTokenizer, HasTheTokensThatOtherFilesName) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.json", small_bpe(kByteLevel).dump());
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"bos_token": "abc", "eos_token": "<end>", "pad_token": "<pad>",
                            "additional_special_tokens": ["<far>"]})");
  write_file_atomically(folder / "added_tokens.json", R"({"<x>": 6, "<pad>": 7})");
  const GgufMetadata metadata = gguf_tokenizer(load_tokenizer(folder.path()).get(), model_of(8));
  EXPECT_EQ(at<std::vector<std::string>>(metadata, "tokens"),
            (std::vector<std::string>{"a", "b", "c", "ab", "abc", "<end>", "<x>", "<pad>"}));  // <far> is beyond
  EXPECT_EQ(at<std::vector<std::int32_t>>(metadata, "token_type"), (std::vector<std::int32_t>{1, 1, 1, 1, 3, 3, 4, 3}));
  EXPECT_EQ(at<std::uint32_t>(metadata, "bos_token_id"), 4u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "eos_token_id"), 5u);
  EXPECT_EQ(at<std::uint32_t>(metadata, "padding_token_id"), 7u);
  EXPECT_FALSE(at<bool>(metadata, "add_bos_token"));

  OrderedJson gap = small_bpe(kByteLevel);
  gap["added_tokens"].push_back({{"id", 11}, {"content", "<y>"}});
  EXPECT_EQ(at<std::vector<std::string>>(said(gap, model_of(8, {5})), "tokens")[6], "<y>");  // counted on, as in text
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"eos_token": {"__type": "AddedToken", "content": "<z>", "lstrip": true}})");
  expect_mentions(
      error_of([&] { static_cast<void>(gguf_tokenizer(load_tokenizer(folder.path()).get(), model_of(9))); }),
      {"added tokens without lstrip", "<z>"});
}

TEST(GgufTokenizer, HasEveryChatTemplate) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.json", small_bpe(kByteLevel).dump());
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"eos_token": "<end>", "chat_template": [{"name": "default", "template": "D"},
                                                                    {"name": "rag", "template": "R"}]})");
  const auto text = [&](const std::string& key) {
    const GgufMetadata metadata = gguf_tokenizer(load_tokenizer(folder.path()).get(), model_of(6));
    const auto* found = find_metadata<std::string>(metadata, "tokenizer.chat_template" + key);
    const auto* names = find_metadata<std::vector<std::string>>(metadata, "tokenizer.chat_templates");
    return found == nullptr ? "none" : *found + (key.empty() || names == nullptr ? "" : " of " + names->front());
  };
  EXPECT_EQ(text(""), "D");
  EXPECT_EQ(text(".rag"), "R of rag");
  write_file_atomically(folder / "additional_chat_templates/tool_use.jinja", "T");
  EXPECT_EQ(text(""), "none");  // the files alone count
  EXPECT_EQ(text(".tool_use"), "T of tool_use");
  write_file_atomically(folder / "chat_template.jinja", "J");
  EXPECT_EQ(text(""), "J");
  EXPECT_EQ(text(".rag"), "none");
}

TEST(GgufTokenizer, Llama2cScoresBecomeScores) {
  QAD_REQUIRE_SHARED_DATA();
  const auto scored = load_tokenizer(testing::shared_data() / "tinyllamas-stories260k" / "tok512.bin");
  const GgufMetadata metadata = gguf_tokenizer(scored.get(), model_of(512, {2}));
  EXPECT_EQ(model_and_pre(metadata), "llama default");
  EXPECT_TRUE(at<bool>(metadata, "add_space_prefix"));
  EXPECT_TRUE(at<bool>(metadata, "add_bos_token"));
  const auto tokens = at<std::vector<std::string>>(metadata, "tokens");
  const auto kinds = at<std::vector<std::int32_t>>(metadata, "token_type");
  EXPECT_EQ(kinds.at(0), 2);
  EXPECT_EQ(kinds.at(1), 3);
  EXPECT_EQ(kinds.at(3), 6);
  EXPECT_EQ(tokens.at(259), "\u2581t");  // the first merge
  EXPECT_EQ(at<std::vector<float>>(metadata, "scores").at(259), -1.0f);
}

TEST(GgufTokenizer, OtherFormsAreRefused) {
  const testing::TemporaryFolder pair;
  write_file_atomically(pair / "vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  write_file_atomically(pair / "merges.txt", "a b\n");
  expect_mentions(
      error_of([&] { static_cast<void>(gguf_tokenizer(load_tokenizer(pair.path()).get(), model_of(512))); }),
      {"a tokenizer.json", "vocab.json"});
  OrderedJson spaces = small_bpe({{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}});
  EXPECT_EQ(model_and_pre(said(spaces)), "llama default");
  spaces["model"]["vocab"]["a\u2581"] = 5;  // added tokens count on behind the vocabulary
  spaces["added_tokens"][0]["id"] = 6;
  expect_mentions(error_of([&] { said(spaces, model_of(7, {6})); }), {"split: false"});
  spaces["pre_tokenizer"] = nullptr;
  expect_mentions(error_of([&] { said(spaces, model_of(7, {6})); }), {"byte-level BPE", "neither"});
}

}  // namespace
}  // namespace qad
