// Records as people have them: which of their tokens are there, which are labels, and what is refused with its line.
#include "data/text/record_reader.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "data/text/documents.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

constexpr const char* kTemplate =
    "{% for t in tools or [] %}({{ t.name }}){% endfor %}"
    "{% for m in messages %}<{{ m.role[0] }}>{{ m.content if m.content is not none else '-' }}{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}";

class Records : public ::testing::Test {
 protected:
  Records() {
    load_tokenizer("bytes")->save(folder_.path());
    write_file_atomically(folder_ / "chat_template.jinja", kTemplate);
    tokenizer_ = load_tokenizer(folder_.path());
  }
  Documents load(const std::string& lines, TextFormat format = {}, const char* name = "a.jsonl") {
    write_file_atomically(folder_ / name, lines);
    format.bos = format.eos = false;
    const SourceConfig config{.jsonl = std::vector<std::string>{(folder_ / name).string()}, .format = format};
    return load_documents(config, tokenizer_.get(), 258, "data.train");
  }
  // The documents with `|` after each.
  std::string text(const std::string& lines, const TextFormat& format = {}) {
    const Documents documents = load(lines, format);
    EXPECT_TRUE(documents.mask.empty());
    std::string all;
    for (std::int64_t i = 0; i < documents.count(); ++i) all += tokenizer_->decode(documents[i], false) + "|";
    return all;
  }
  // The same with a dot in the place of each token that is no label.
  std::string labels(const std::string& lines, TextFormat format = {}) {
    format.loss_on = LossOn::assistant;
    const Documents documents = load(lines, format);
    std::string all;
    for (std::int64_t i = 0; i < documents.count(); ++i) {
      std::string one = tokenizer_->decode(documents[i], false);
      for (std::size_t k = 0; k < one.size(); ++k)
        if (!documents.mask.empty() &&
            documents.mask.at(static_cast<std::size_t>(documents.offsets[static_cast<std::size_t>(i)]) + k) == 0)
          one[k] = '.';
      all += one + "|";
    }
    return all;
  }
  std::string refusal(const std::string& lines, const TextFormat& format = {}) {
    return error_of([&] { load(lines, format); });
  }

  testing::TemporaryFolder folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

const std::string kShareGpt =
    R"({"id": 1, "conversations": [{"from": "human", "value": "ab"}, {"from": "gpt", "value": "cde"}, {"from": "tool", "value": "f"}, {"from": "gpt", "value": "g"}]})";

TEST_F(Records, ShareGptIsAConversation) {
  EXPECT_EQ(text(kShareGpt), "<u>ab<a>cde<t>f<a>g|");
  EXPECT_EQ(labels(kShareGpt), "........cde.......g|");
  EXPECT_EQ(
      text(R"({"system": "s", "conversations": [{"from": "user", "value": "a"}, {"from": "model", "value": "b"}]})"),
      "<s>s<u>a<a>b|");
  EXPECT_EQ(
      text(
          R"({"system": "s", "conversations": [{"from": "system", "value": "own"}, {"from": "human", "value": "a"}]})"),
      "<s>own<u>a|");
  EXPECT_EQ(
      text(
          R"({"system": "", "conversations": [{"from": "observation", "value": "a"}, {"from": "chatgpt", "value": "b"}]})"),
      "<t>a<a>b|");
  EXPECT_EQ(text(R"({"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"),
            "<u>a<a>b|");
  EXPECT_EQ(text(R"({"conversation": [{"role": "user", "content": "a"}]})"), "<u>a|");
}

TEST_F(Records, MessagesMayHaveNullsAndToolsAsText) {
  EXPECT_EQ(
      text(
          R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": []}], "tools": null, "score": NaN})"),
      "<u>a<a>|");  // as if the null were not there
  EXPECT_EQ(text(R"({"messages": [{"role": "user", "content": "a"}], "tools": [{"name": "x"}]})"), "(x)<u>a|");
  EXPECT_EQ(text(R"({"messages": [{"role": "user", "content": "a"}], "tools": "[{\"name\": \"x\"}]"})"), "(x)<u>a|");
  EXPECT_EQ(text(R"({"messages": [{"role": "user", "content": "a"}], "tools": ""})"), "<u>a|");
  EXPECT_EQ(text(R"({"text": null, "messages": [{"role": "user", "content": "a"}]})"), "<u>a|");
  EXPECT_EQ(text(R"({"messages": null, "conversations": null, "text": "a"})"), "a|");
  EXPECT_EQ(text(R"({"text": "b", "messages": [{"role": "user", "content": "a"}]})"), "b|");  // the field comes first
  EXPECT_EQ(text(R"({"talk": [{"role": "user", "content": "a"}], "text": "b"})", {.field = "talk"}), "<u>a|");
}

TEST_F(Records, PairsOfTextsHaveLabelsInTheCompletion) {
  const std::string pairs = R"({"prompt": "ab ", "completion": "cd"}
{"completion": "f", "prompt": "e", "id": 3})";
  EXPECT_EQ(text(pairs), "ab cd|ef|");
  EXPECT_EQ(labels(pairs), "...cd|.f|");
  EXPECT_EQ(labels(R"({"prompt": "", "completion": "ab"})"), "ab|");
  EXPECT_EQ(text(pairs, {.field = "completion"}), "cd|f|");  // whoever names a field gets it
}

TEST_F(Records, PairsOfMessagesHaveLabelsInTheCompletionAlone) {
  const std::string pair =
      R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], "completion": [{"role": "assistant", "content": "de"}], "tools": [{"name": "x"}]})";
  EXPECT_EQ(text(pair), "(x)<u>a<a>b<u>c<a>de|");
  EXPECT_EQ(labels(pair), "..................de|");
  expect_mentions(
      refusal(R"({"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]})"),
      {"a.jsonl:1: expected two texts, or two lists of messages, under prompt and completion", "string and array"});
}

TEST_F(Records, TheFirstRecordSaysWhatTheOthersAre) {
  const std::string messages = R"({"messages": [{"role": "user", "content": "a"}]})", text_record = R"({"text": "a"})",
                    pair = R"({"prompt": "a", "completion": "b"})";
  expect_mentions(refusal(messages + "\n\n" + text_record),
                  {"a.jsonl:3: expected a list of messages under 'messages', got no such key among text",
                   "a file has one kind of record, here that of ", "a.jsonl:1", "mixture"});
  expect_mentions(refusal(text_record + "\n" + messages),
                  {"a.jsonl:2: expected text under the key 'text', got no such key among messages", "one kind"});
  expect_mentions(refusal(kShareGpt + "\n" + messages),
                  {"a.jsonl:2: expected a list of messages under 'conversations', got no such key among messages"});
  expect_mentions(refusal(pair + "\n" + text_record), {"a.jsonl:2: expected two texts", "got nothing and nothing"});
  // A file with the text beside the messages is read as what its first record is.
  EXPECT_EQ(text(messages + R"(
{"text": "b", "messages": [{"role": "user", "content": "c"}]})"),
            "<u>a|<u>c|");
}

TEST_F(Records, SaysWhichLineAndKeyIsWrong) {
  expect_mentions(
      refusal(R"({"instruction": "a", "input": "", "output": "b"})"),
      {"a.jsonl:1: expected text under the key 'text', messages, conversations, or prompt and completion, got no "
       "such key among instruction, input, output",
       "as messages of a user and an assistant"});
  expect_mentions(refusal(R"({"a": 1})", {.field = "body"}),
                  {"expected text under the key 'body', got no such key among a"});
  expect_mentions(refusal(R"({"text": null})"), {"expected text under the key 'text', messages", "got null"});
  expect_mentions(refusal("{\"text\": \"a\"}\n{\"text\": null}"), {":2: expected text under the key 'text', got null"});
  expect_mentions(refusal(R"({"text": NaN})"), {"a.jsonl:1: text: expected text, or a number that is finite, got NaN"});
  expect_mentions(refusal(R"({"messages": [{"role": "user", "content": Infinity}]})"),
                  {"a.jsonl:1: messages: expected text, or a number that is finite, got Infinity"});
  expect_mentions(refusal(R"({"messages": [{"role": "user", "content": 123456789012345678901}]})"),
                  {"a.jsonl:1: messages: expected numbers of at most 64 bits"});
  expect_mentions(refusal(R"({"messages": [{"role": "user", "content": "a"}], "tools": "what"})"),
                  {"a.jsonl:1: tools: expected a list of tools, or one as JSON text, got what"});
  expect_mentions(refusal(R"({"conversations": [{"from": "narrator", "value": "a"}]})"),
                  {"a.jsonl:1: expected from: human, gpt, system, tool", "got \"narrator\""});
  expect_mentions(refusal(R"({"conversations": [{"from": "human", "value": null}]})"),
                  {"a.jsonl:1: expected turns with texts under from and value"});
  expect_mentions(refusal(R"({"conversations": ["a"]})"),
                  {"a.jsonl:1: expected messages that are objects, got string"});
  expect_mentions(refusal(R"({"messages": [{"content": "a"}]})"), {"a.jsonl:1: ", "role"});
  expect_mentions(refusal(R"({"messages": "a"})"),
                  {"a.jsonl:1: expected a list of messages under 'messages', got string"});
}

TEST_F(Records, FilesAreReadWhateverTheirLinesLookLike) {
  EXPECT_EQ(text("\xef\xbb\xbf{\"text\": \"a\"}\r\n\r\n  {\"text\": \"b\"}  \n\t\n{\"text\": \"\"}\n{\"text\": \"c\"}"),
            "a|b|c|");
  const std::string long_text(3'000'000, 'x');
  EXPECT_EQ(text("{\"text\": \"" + long_text + "\", \"n\": NaN}"), long_text + "|");
  expect_mentions(refusal("{\"text\": \"a\"},\n{\"text\": \"b\"}\n"),
                  {"a.jsonl:1:14: expected JSON", "without commas"});
  expect_mentions(refusal("{'text': 'a'}"), {"a.jsonl:1:2: expected JSON"});
}

}  // namespace
}  // namespace qad
