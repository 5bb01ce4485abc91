// Folders whose small files name tokens too, against transformers (golden/tokenizer_folders.json, made by
// scripts/make_tokenizer_goldens.py); two tokenizers compared; llama2.c's tokenizers in two forms.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/random.h"
#include "data/text/chat_template.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"
#include "tests/support/error_of.h"
#include "tests/support/log_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;
using OrderedJson = nlohmann::ordered_json;  // the order of keys decides ids
using testing::error_of;
using testing::TemporaryFolder;

OrderedJson folder_goldens() {
  return OrderedJson::parse(read_file(testing::source_dir() / "tests/data/golden/tokenizer_folders.json", "test data"));
}

void write(const fs::path& folder, const OrderedJson& files) {
  for (const auto& [name, contents] : files.items())
    write_file_atomically(folder / name, contents.is_string() ? contents.get<std::string>() : contents.dump());
}

// A folder of the goldens: a base, its changes, and files beside it.
void write_folder(const fs::path& folder, const OrderedJson& bases, const OrderedJson& golden) {
  OrderedJson root = bases.at(golden.at("base").get<std::string>());
  for (const auto& [key, value] : golden.at("change").items()) root[key] = value;
  write(folder, golden.at("base") == "pair" ? root : OrderedJson{{"tokenizer.json", root}});
  write(folder, golden.at("files"));
}

TEST(TokenizerFolder, GivesTheIdsOfTransformers) {
  const OrderedJson all = folder_goldens();
  int folders = 0;
  for (const OrderedJson& golden : all.at("folders")) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const TemporaryFolder folder;
    write_folder(folder.path(), all.at("bases"), golden);
    const auto tokenizer = load_tokenizer(folder.path());
    for (const OrderedJson& one : golden.at("cases")) {
      const std::string text = one.at("text");
      const Ids ids = tokenizer->encode(text);
      EXPECT_EQ(ids, one.at("ids").get<Ids>()) << one.at("text").dump();
      if (!one.contains("decoded")) continue;
      EXPECT_EQ(tokenizer->decode(ids, false), one.at("decoded").get<std::string>()) << one.at("text").dump();
      EXPECT_EQ(tokenizer->decode(ids, true), one.at("skipped").get<std::string>()) << one.at("text").dump();
    }
    for (const auto& [role, id] : {std::pair{"bos_token", tokenizer->bos()}, std::pair{"eos_token", tokenizer->eos()},
                                   std::pair{"pad_token", tokenizer->pad()}})
      if (!golden.at(role).is_null()) {
        EXPECT_EQ(id, golden.at(role).get<std::int32_t>()) << role;
      }
    const TemporaryFolder copy;
    tokenizer->save(copy.path());
    if (golden.at("base") == "pair") fs::copy(folder / "config.json", copy / "config.json");  // says which class
    EXPECT_EQ(load_tokenizer(copy.path())->encode("<x> the<|im_end|>"), tokenizer->encode("<x> the<|im_end|>"));
    ++folders;
  }
  EXPECT_GE(folders, 120);
}

TEST(TokenizerFolder, GivesChatTemplatesTheTokensOfTransformers) {
  const OrderedJson all = folder_goldens();
  const std::vector<std::string> more = {"bos_token", "eos_token", "unk_token",   "sep_token", "pad_token",
                                         "cls_token", "end",       "image_token", "end_token"};
  for (const OrderedJson& golden : all.at("folders")) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const TemporaryFolder folder;
    write_folder(folder.path(), all.at("bases"), golden);
    std::string source, expected;
    const OrderedJson& named = golden.at("named");
    for (const auto& [name, text] : named.items()) {
      source += name + "={{ " + name + " }}|";
      expected += name + "=" + text.get<std::string>() + "|";
    }
    for (const std::string& name : more) {
      source += name + " {{ " + name + " is defined }}|";
      expected += name + (named.contains(name) ? " True|" : " False|");
    }
    write(folder.path(), {{"chat_template.jinja", source}});
    const OrderedJson question = {{"role", "user"}, {"content", "hi"}};
    const ChatTemplate chat = load_chat_template(folder.path(), "2025-03-09");
    EXPECT_EQ(chat.lay_out({{"messages", OrderedJson::array({question})}}).text, expected);
  }
}

// The byte tokenizer's folder with a tokenizer_config.json of one key more.
std::unique_ptr<Tokenizer> bytes_with(const TemporaryFolder& folder, const std::string& key, const std::string& value) {
  load_tokenizer("bytes")->save(folder.path());
  OrderedJson config = OrderedJson::parse(read_file(folder / "tokenizer_config.json", ""));
  config[key] = OrderedJson::parse(value);
  write(folder.path(), {{"tokenizer_config.json", config}});
  return load_tokenizer(folder.path());
}

TEST(TokenizerFolder, SaysWhichTokensAreNamedBesideTheTokenizer) {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with(folder, "pad_token", R"("<pad>")");
  EXPECT_EQ(tokenizer->vocabulary_size(), 259);
  EXPECT_EQ(tokenizer->own_vocabulary_size(), 258);
  EXPECT_EQ(tokenizer->pad(), 258);
  EXPECT_EQ(tokenizer->id_of("<pad>"), 258);
  const auto pad = tokenizer->token(258), letter = tokenizer->token(0x41);
  ASSERT_TRUE(pad && letter);
  EXPECT_EQ(pad->text, "<pad>");
  EXPECT_TRUE(pad->special);
  ASSERT_NE(pad->added, nullptr);
  EXPECT_FALSE(pad->added->lstrip);
  EXPECT_EQ(letter->text, "A");
  EXPECT_EQ(letter->added, nullptr);
  EXPECT_FALSE(tokenizer->token(259));
  check_vocabulary(*tokenizer, 258, "teacher");  // the padding may lie beyond the model's rows: only a warning
  EXPECT_NE(error_of([&] { check_vocabulary(*tokenizer, 257, "teacher"); }).find("got 258 tokens"), std::string::npos);
}

TEST(TokenizerFolder, RefusesValuesOfOtherTypesByFileAndKey) {
  const auto message = [](const std::string& key, const std::string& value) {
    const TemporaryFolder folder;
    return error_of([&] { static_cast<void>(bytes_with(folder, key, value)); });
  };
  testing::expect_mentions(message("eos_token", "7"), {"tokenizer_config.json: eos_token: expected a token", "got 7"});
  testing::expect_mentions(message("eos_token", R"({"lstrip": true})"), {"eos_token: expected a token"});
  testing::expect_mentions(message("added_tokens_decoder", R"({"x": {"content": "a"}})"), {"expected ids of tokens"});
  testing::expect_mentions(message("added_tokens_decoder", R"({"5": "a"})"), {"added_tokens_decoder.5: expected"});
  testing::expect_mentions(message("added_tokens_decoder", R"({"5": {"content": "a", "lstrip": 1}})"),
                           {"added_tokens_decoder.5.lstrip: expected true or false, got 1"});
  testing::expect_mentions(message("additional_special_tokens", "3"), {"expected a list of tokens"});
  testing::expect_mentions(message("model_specific_special_tokens", R"(["a"])"), {"an object of tokens by name"});
  testing::expect_mentions(message("add_bos_token", R"("yes")"), {"add_bos_token: expected true or false"});
  testing::expect_mentions(message("split_special_tokens", "1"), {"split_special_tokens: expected true or false"});
}

TEST(TokenizerFolder, RefusesAPairOfFilesOfAnotherClass) {
  const OrderedJson all = folder_goldens();
  const TemporaryFolder folder;
  write(folder.path(), all.at("bases").at("pair"));
  write(folder.path(), {{"tokenizer_config.json", {{"tokenizer_class", "RobertaTokenizer"}}}});
  testing::expect_mentions(error_of([&] { static_cast<void>(load_tokenizer(folder.path())); }),
                           {"expected tokenizer_class GPT2Tokenizer, GPTNeoXTokenizer", "got RobertaTokenizer"});
}

TEST(TokenizerFiles, GoAlongWithAllTemplates) {
  const TemporaryFolder folder, copy;
  load_tokenizer("bytes")->save(folder.path());
  EXPECT_TRUE(has_tokenizer(folder.path()));
  EXPECT_FALSE(has_tokenizer(copy.path()));
  EXPECT_FALSE(has_tokenizer(""));
  write(folder.path(), {{"chat_template.json", "{}"},
                        {"additional_chat_templates/tool_use.jinja", "T"},
                        {"additional_chat_templates/notes.txt", "no"}});
  load_tokenizer(folder.path())->save(copy.path());
  EXPECT_EQ(read_file(copy / "additional_chat_templates/tool_use.jinja", ""), "T");
  EXPECT_EQ(read_file(copy / "chat_template.json", ""), "{}");
  EXPECT_FALSE(fs::exists(copy / "additional_chat_templates/notes.txt"));
}

TEST(SameTokens, NamesTheFirstIdThatDiffers) {
  const TemporaryFolder swapped_folder, padded_folder, more_folder;
  const auto bytes = load_tokenizer("bytes");
  bytes->save(swapped_folder.path());
  OrderedJson root = OrderedJson::parse(read_file(swapped_folder / "tokenizer.json", ""));
  std::swap(root["model"]["vocab"]["a"], root["model"]["vocab"]["b"]);
  write(swapped_folder.path(), {{"tokenizer.json", root}});
  const auto swapped = load_tokenizer(swapped_folder.path());
  const auto message = [&](const Tokenizer& got, std::int64_t vocabulary) {
    return error_of([&] { check_same_tokens(*bytes, "teacher/", got, "student/", vocabulary); });
  };
  testing::expect_mentions(message(*swapped, 300),
                           {"student/: expected the tokens of teacher/, whose id 97 is \"a\", got \"b\""});
  EXPECT_EQ(message(*bytes, 300), "no error");
  EXPECT_EQ(message(*swapped, 97), "no error");  // the model has no such row
  EXPECT_EQ(message(*bytes_with(padded_folder, "pad_token", R"("<pad>")"), 300), "no error");
  const auto more = bytes_with(more_folder, "additional_special_tokens", R"(["<|im\nend|>"])");
  testing::expect_mentions(message(*more, 300), {"id 258 is no token, got \"<|im\\nend|>\""});
  EXPECT_EQ(message(*more, 258), "no error");
}

TEST(SameTokens, CutOtherwiseIsSaid) {
  const TemporaryFolder folder;
  const auto bytes = load_tokenizer("bytes");
  bytes->save(folder.path());
  OrderedJson root = OrderedJson::parse(read_file(folder / "tokenizer.json", ""));
  root["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "e"}}}, {"content", "a"}};
  write(folder.path(), {{"tokenizer.json", root}});
  const auto other = load_tokenizer(folder.path());
  const auto said = [&](const Tokenizer& got) {
    return testing::log_of([&] { check_same_tokens(*bytes, "teacher/", got, "student/", 300); });
  };
  testing::expect_mentions(said(*other), {"student/ has the tokens of teacher/ but cuts a text otherwise"});
  EXPECT_EQ(said(*bytes), "");
}

// A tokenizer.bin of llama2.c: <unk>, start, end, the bytes, a few characters, and what neighbours can make of these.
std::string scored_tokens(std::uint64_t seed) {
  std::vector<std::pair<std::string, float>> tokens = {{"<unk>", 0}, {"\n<s>\n", 0}, {"\n</s>\n", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.emplace_back(name, 0.0f);
  }
  std::vector<std::string> words = {" ", "a", "b", "c", "\u00e9", "\n", "<", "s", ">"};
  Random random(seed, stream_of("scored tokens"));
  const auto any = [&] { return words[static_cast<std::size_t>(random.below(std::ssize(words)))]; };
  for (int i = 0; i < 40; ++i)
    if (std::string word = any() + any(); std::ranges::count(words, word) == 0) words.push_back(std::move(word));
  for (std::size_t i = 0; i < words.size(); ++i) tokens.emplace_back(words[i], -static_cast<float>(i * 7 % 61));
  std::string file(4, '\0');
  for (const auto& [text, score] : tokens) {
    const auto length = static_cast<std::int32_t>(text.size());
    file.append(reinterpret_cast<const char*>(&score), 4).append(reinterpret_cast<const char*>(&length), 4) += text;
  }
  return file;
}

TEST(Llama2cTokenizer, SaysTheSameAsATokenizerJson) {
  Random random(5, stream_of("texts"));
  const std::vector<std::string> parts = {"a",  "b",      " ",   "c",  "ab ",      "\u00e9",
                                          "\n", "\u2581", "<s>", "  ", "caf\u00e9"};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TemporaryFolder folder, copy;
    write_file_atomically(folder / "tokenizer.bin", scored_tokens(seed));
    const auto scored = load_tokenizer(folder.path());
    scored->save(copy.path());
    ASSERT_TRUE(fs::exists(copy / "tokenizer.json"));
    const auto merged = load_tokenizer(copy.path());
    EXPECT_EQ(merged->bos(), 1);
    EXPECT_EQ(merged->eos(), 2);
    for (int i = 0; i < 60; ++i) {
      std::string text;
      for (std::int64_t n = random.below(12); n > 0; --n)
        text += parts[static_cast<std::size_t>(random.below(std::ssize(parts)))];
      const Ids ids = scored->encode(text);
      EXPECT_EQ(merged->encode(text), ids) << seed << ": " << text;
      EXPECT_EQ(merged->decode(ids), scored->decode(ids)) << seed << ": " << text;
    }
  }
}

TEST(Llama2cTokenizer, RefusesScoresAndLengthsThatAreNone) {
  const auto message = [](float score, std::int32_t length) {
    const TemporaryFolder folder;
    std::string file(4, '\0');
    file.append(reinterpret_cast<const char*>(&score), 4).append(reinterpret_cast<const char*>(&length), 4);
    write_file_atomically(folder / "tokenizer.bin", file + std::string(2000, 'a'));
    return error_of([&] { static_cast<void>(load_tokenizer(folder.path())); });
  };
  EXPECT_NE(message(std::nanf(""), 1).find("with a finite score"), std::string::npos);
  EXPECT_NE(message(0, 1500).find("tokens of at most 1024 bytes"), std::string::npos);
  EXPECT_NE(message(0, -1).find("ends beyond the file"), std::string::npos);
}

}  // namespace
}  // namespace qad
