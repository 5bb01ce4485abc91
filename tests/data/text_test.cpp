// From files to documents: separators, JSON lines, start and end tokens, prompts, limits, and what is refused.
#include <gtest/gtest.h>

#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/parallel.h"
#include "data/text/documents.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Files = std::vector<std::string>;
using Ids = std::vector<std::int32_t>;
using testing::error_of;
using testing::TemporaryFolder;

class Text : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& contents) {
    write_file_atomically(folder_ / name, contents);
    return (folder_ / name).string();
  }
  Documents load(const SourceConfig& config, std::int64_t vocabulary = 258) {
    return load_documents(config, bytes_.get(), vocabulary, "data.train");
  }
  std::string text_of(const Documents& documents, std::int64_t i) { return bytes_->decode(documents[i], false); }

  TemporaryFolder folder_;
  std::unique_ptr<Tokenizer> bytes_ = load_tokenizer("bytes");
};

TEST_F(Text, IsOneDocumentWithoutASeparator) {
  const Documents documents = load({.text = Files{write("a.txt", "one\n--\ntwo\n")}});
  ASSERT_EQ(documents.count(), 1);
  EXPECT_EQ(text_of(documents, 0), "<|startoftext|>one\n--\ntwo\n");
}

TEST_F(Text, IsCutAtSeparatorsAndTrimmed) {
  const std::string file = write("a.txt", "one\n--\n two \n--\n--\nlast");
  const Documents documents = load({.text = Files{file}, .format = {.separator = "--", .bos = false, .eos = true}});
  ASSERT_EQ(documents.count(), 3);  // the empty one is left out
  EXPECT_EQ(text_of(documents, 1), "two<|endoftext|>");
  EXPECT_EQ(text_of(documents, 2), "last<|endoftext|>");
  EXPECT_EQ(load({.text = Files{file}, .format = {.separator = "--", .drop_last_document = true}}).count(), 2);
  EXPECT_EQ(text_of(load({.text = Files{file}, .format = {.separator = "--", .trim = false, .bos = false}}), 1),
            "\n two \n");
}

TEST_F(Text, SkipsDocumentsAndStopsAtATokenLimit) {
  const std::string file = write("a.txt", "aaaa|bbbb|cccc|dddd");
  const Documents documents =
      load({.text = Files{file}, .format = {.separator = "|", .bos = false}, .skip_documents = 1, .tokens = 6});
  ASSERT_EQ(documents.count(), 2);
  EXPECT_EQ(documents.tokens(), 6);
  EXPECT_EQ(text_of(documents, 0), "bbbb");
  EXPECT_EQ(text_of(documents, 1), "cc");
  EXPECT_EQ(load({.text = Files{file}, .format = {.separator = "|", .bos = false}, .tokens = 4}).count(), 1);
}

TEST_F(Text, JsonLinesHaveAFieldAndAPrompt) {
  const std::string file = write("a.jsonl", "{\"q\": \"1+1?\", \"a\": \"2\"}\n\n{\"q\": \"\u00fc\", \"a\": \"x\"}\r\n");
  const Documents documents =
      load({.jsonl = Files{file}, .format = {.field = "a", .prompt_field = "q", .prompt_separator = "="}});
  ASSERT_EQ(documents.count(), 2);
  EXPECT_EQ(text_of(documents, 0), "<|startoftext|>1+1?=2");
  EXPECT_EQ(documents.mask, (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
  EXPECT_EQ(load({.jsonl = Files{file}, .format = {.field = "a"}}).mask, std::vector<std::uint8_t>());
  EXPECT_NE(error_of([&] {
              load({.jsonl = Files{file}, .format = {.field = "b"}});
            }).find("a.jsonl:1: expected text under the key 'b', got no such key"),
            std::string::npos);
  const std::string broken = write("b.jsonl", "{\"text\": \"a\"}\n{\"text\": \n");
  EXPECT_NE(error_of([&] { load({.jsonl = Files{broken}}); }).find("b.jsonl:2"), std::string::npos);
}

TEST_F(Text, ConversationsAreLaidOutByTheTokenizersTemplate) {
  bytes_->save(folder_.path());
  write("chat_template.jinja",
        "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{{ '$' if m.role == 'assistant' }}{% endfor %}"
        "{% if add_generation_prompt %}<a>{% endif %}");
  bytes_ = load_tokenizer(folder_.path());
  const std::string chats =
      write("b.jsonl", R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]}
{"messages": [{"role": "user", "content": "d"}, {"role": "assistant", "content": "ef"}, {"role": "user", "content": "g"}, {"role": "assistant", "content": "h"}]})");
  const Documents all = load({.jsonl = Files{chats}});
  ASSERT_EQ(all.count(), 2);
  EXPECT_EQ(text_of(all, 0), "<u>ab<a>c$");  // start tokens are the template's business
  EXPECT_EQ(text_of(all, 1), "<u>d<a>ef$<u>g<a>h$");
  EXPECT_TRUE(all.mask.empty());
  EXPECT_EQ(text_of(load({.jsonl = Files{chats}, .format = {.bos = true, .eos = true}}), 0),
            "<|startoftext|><u>ab<a>c$<|endoftext|>");

  const SourceConfig texts{.jsonl = Files{write("c.jsonl", R"({"text": "plain"})")},
                           .format = {.loss_on = LossOn::assistant}};
  EXPECT_NE(error_of([&] { load(texts); }).find("c.jsonl:1: expected messages"), std::string::npos);
}

TEST_F(Text, OnlyTheAssistantsTurnsAreLabels) {
  const std::string rule = write("own.jinja",
                                 "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% endfor %}"
                                 "{% if add_generation_prompt %}<a>{% endif %}");
  const std::string chats = write(
      "a.jsonl",
      R"({"messages": [{"role": "user", "content": "d"}, {"role": "assistant", "content": "ef"}, {"role": "user", "content": "g"}, {"role": "assistant", "content": "h"}]})");
  SourceConfig config{.jsonl = Files{chats}, .format = {.loss_on = LossOn::assistant, .chat_template = rule}};
  Documents documents = load(config);
  const auto marked = [&] {
    std::string text = text_of(documents, 0);
    for (std::size_t i = 0; i < text.size(); ++i)
      if (documents.mask.at(i) == 0) text[i] = '.';
    return text;
  };
  EXPECT_EQ(text_of(documents, 0), "<u>d<a>ef<u>g<a>h");
  EXPECT_EQ(marked(), ".......ef.......h");
  documents.add(Ids{1});
  EXPECT_EQ(documents.mask.back(), 1);

  const std::string question = write("b.jsonl", R"({"messages": [{"role": "user", "content": "d"}]})");
  config.jsonl = Files{question};
  EXPECT_NE(error_of([&] { load(config); }).find("b.jsonl:1: expected a message of the assistant"), std::string::npos);
  config.jsonl = Files{write("c.jsonl", R"({"messages": [{"role": "user", "content": "d"}], "n": 1})")};
  config.format.chat_template = write("refuses.jinja", "a\n{{ raise_exception('no') }}");
  EXPECT_NE(error_of([&] { load(config); }).find("refuses.jinja:"), std::string::npos);
  EXPECT_NE(error_of([&] {
              load({.text = Files{question}, .format = {.loss_on = LossOn::assistant}});
            }).find("data.train: expected jsonl"),
            std::string::npos);
  EXPECT_NE(error_of([&] { load({.jsonl = Files{question}}); }).find("a chat_template.jinja"), std::string::npos);
}

TEST_F(Text, PromptsOfConversationsEndWhereTheAssistantBegins) {
  write("chat_template.jinja",
        "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif "
        "%}");
  const auto prompts = [&](const std::string& name, const std::string& contents) {
    const std::vector<std::filesystem::path> files = {write(name, contents)};
    std::string all;
    for (const TextPrompt& prompt : read_prompts(files, default_text_format(), folder_.path()))
      all += prompt.text + (prompt.has_frame ? "|" : "/");
    return all;
  };
  const std::string one = "{\"messages\": [{\"role\": \"user\", \"content\": \"d\"}]}\n\n";
  EXPECT_EQ(prompts("b.jsonl", one), "<u>d<a>|");
  EXPECT_EQ(prompts("c.jsonl", one + R"({"prompt": "e f"}
{"prompt": [{"role": "user", "content": "g"}], "completion": [{"role": "assistant", "content": "h"}]}
{"conversations": [{"from": "human", "value": "i"}], "system": "s"}
{"text": "j"})"),
            "<u>d<a>|e f/<u>g<a>|<s>s<u>i<a>|j/");
  EXPECT_EQ(prompts("d.txt", "k\r\n \n{l\n"), "k/{l/");
  EXPECT_NE(error_of([&] { prompts("a.jsonl", one + "{\"messages\": []}\n"); }).find("a.jsonl:3"), std::string::npos);
}

TEST_F(Text, PromptsMayGrowWithoutForgettingEarlierOnes) {
  Documents documents;
  documents.add(Ids{1, 2, 3});
  documents.add(Ids{4, 5, 6}, 2);
  documents.add(Ids{7, 8}, 1);
  EXPECT_EQ(documents.mask, (std::vector<std::uint8_t>{1, 1, 1, 0, 0, 1, 0, 1}));
  documents.restrict_to(1, 4);
  EXPECT_EQ(documents.ids, (Ids{4, 5, 6, 7}));
  EXPECT_EQ(documents.mask, (std::vector<std::uint8_t>{0, 0, 1, 0}));
  EXPECT_EQ(documents.offsets, (std::vector<std::int64_t>{0, 3, 4}));
}

TEST_F(Text, RefusesBadInputInOneClearLine) {
  const auto message = [&](const SourceConfig& config, std::int64_t vocabulary = 258) {
    return error_of([&] { load(config, vocabulary); });
  };
  EXPECT_NE(message({.text = Files{(folder_ / "absent.txt").string()}}).find("absent.txt"), std::string::npos);
  EXPECT_NE(message({.text = Files{write("empty.txt", "")}}).find("empty.txt: expected a text, got an empty file"),
            std::string::npos);
  EXPECT_NE(
      message({.text = Files{write("blank.txt", " \n| ")}, .format = {.separator = "|"}}).find("at least one document"),
      std::string::npos);
  EXPECT_NE(message({.text = Files{write("latin.txt", "caf\xe9 au lait")}})
                .find("latin.txt: expected UTF-8 text, got byte 0xe9 at offset 3"),
            std::string::npos);
  EXPECT_NE(message({.text = Files{write("a.txt", "a~")}}, 100)
                .find("token ids from 0 to 99, the model's vocabulary, got 256 in document 0"),
            std::string::npos);
  EXPECT_NE(message({}).find("data.train: expected one of text, jsonl, token_file, teacher_text, synthetic, problems, "
                             "random_tokens and mixture, got none"),
            std::string::npos);
}

TEST_F(Text, RandomTokensNeedNoTokenizer) {
  SourceConfig config;
  config.random_tokens = RandomTokensConfig{.documents = 50, .length = 40, .seed = 3};
  const Documents random = load_documents(config, nullptr, 300, "data.train");
  EXPECT_EQ(random.count(), 50);
  EXPECT_EQ(random.tokens(), 2000);
  const std::set<std::int32_t> seen(random.ids.begin(), random.ids.end());
  EXPECT_GT(seen.size(), 290u);
  EXPECT_EQ(*seen.rbegin(), 299);
  EXPECT_EQ(load_documents(config, nullptr, 300, "data.train").ids, random.ids);
}

TEST_F(Text, IsTheSameAtAnyThreadCount) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "document " + std::to_string(i) + "|";
  const std::string file = write("a.txt", text);
  set_threads(1);
  const Documents one = load({.text = Files{file}, .format = {.separator = "|"}});
  set_threads(3);
  const Documents three = load({.text = Files{file}, .format = {.separator = "|"}});
  set_threads(0);
  EXPECT_EQ(one.count(), 5000);
  EXPECT_EQ(one.ids, three.ids);
  EXPECT_EQ(one.offsets, three.offsets);
}

}  // namespace
}  // namespace qad
