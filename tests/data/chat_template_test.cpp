// Chat templates: equal to transformers' in goldens, which text the assistant's is, where templates are found, and what
// is refused. The interpreter's own tests are in jinja_test.cpp and jinja_limits_test.cpp.
#include "data/text/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "data/files/json_file.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_mentions;
using testing::TemporaryFolder;

constexpr const char* kDate = "2025-03-09";

fs::path golden_folder() { return testing::source_dir() / "tests/data/golden"; }

OrderedJson goldens() { return OrderedJson::parse(read_file(golden_folder() / "chat_templates.json", "goldens")); }

ChatTemplate make(const std::string& source) {
  return ChatTemplate(source, "t", {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}}, kDate);
}

ChatTemplate published(const std::string& name) {
  return make(read_file(golden_folder() / "chat" / (name + ".jinja"), "a template"));
}

OrderedJson chat(const std::vector<std::pair<std::string, std::string>>& turns) {
  OrderedJson messages = OrderedJson::array();
  for (const auto& [role, content] : turns) messages.push_back({{"role", role}, {"content", content}});
  return {{"messages", messages}};
}

TEST(ChatTemplate, TextsEqualPythons) {
  const OrderedJson golden = goldens();
  for (const OrderedJson& group : golden.at("groups")) {
    const std::string name = group.at("template");
    const ChatTemplate chat_template = published(name.substr(0, name.find('.')));
    for (std::size_t i = 0; i < golden.at("chats").size(); ++i) {
      const std::string conversation = golden.at("chats")[i];
      const OrderedJson& expected = group.at("texts")[i];
      std::string text;
      const std::string error = error_of([&] { text = chat_template.lay_out_json(conversation, i % 2 == 0).text; });
      if (expected.is_null()) EXPECT_NE(error, "no error") << name << ' ' << conversation;
      else EXPECT_EQ(error == "no error" ? text : error, expected.get<std::string>()) << name << ' ' << conversation;
    }
  }
}

// What the assistant writes, a | after each turn.
std::string assistant(const std::string& name, const OrderedJson& record) {
  const ChatText laid_out = published(name).lay_out(record);
  std::string turns;
  for (const TextSpan& span : laid_out.assistant)
    turns += laid_out.text.substr(span.begin, span.end - span.begin) + '|';
  return turns;
}

TEST(ChatTemplate, TellsWhatTheAssistantWrites) {
  const OrderedJson two =
      chat({{"system", "S"}, {"user", "one"}, {"assistant", "two"}, {"user", "three"}, {"assistant", "four"}});
  EXPECT_EQ(assistant("chatml", two), "two<|im_end|>\n|four<|im_end|>\n|");
  EXPECT_EQ(assistant("llama2", two), " two </s>| four </s>|");
  EXPECT_EQ(assistant("llama3", two), "two<|eot_id|>|four<|eot_id|>|");
  EXPECT_EQ(assistant("llama3_short", two), "two<|eot_id|>|four<|eot_id|>|");
  EXPECT_EQ(assistant("mistral", two), " two</s>| four</s>|");
  EXPECT_EQ(assistant("qwen2", two), "two<|im_end|>\n|four<|im_end|>\n|");
  EXPECT_EQ(assistant("qwen3", two), "two<|im_end|>\n|<think>\n\n</think>\n\nfour<|im_end|>\n|");
  EXPECT_EQ(assistant("smollm3", two), "two<|im_end|>\n|four<|im_end|>\n|");
  // Its prompt ends in <think>, which an earlier turn no longer has.
  EXPECT_EQ(assistant("r1_distill", two), "two<｜end▁of▁sentence｜>|four<｜end▁of▁sentence｜>|");
  EXPECT_EQ(assistant("qwen2", chat({{"user", "one"}})), "");
}

TEST(ChatTemplate, AMarkedGenerationDecides) {
  const ChatTemplate marked = make(
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}{{ m.content }}."
      "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}");
  const ChatText laid_out = marked.lay_out(chat({{"user", "a"}, {"assistant", "bc"}}));
  EXPECT_EQ(laid_out.text, "[user]a[assistant]bc.");
  EXPECT_EQ(laid_out.assistant, (std::vector<TextSpan>{{18, 21}}));
}

TEST(ChatTemplate, IsFoundBesideTheTokenizer) {
  const TemporaryFolder folder;
  const auto text = [&](const fs::path& place) {
    return load_chat_template(place, kDate).lay_out(chat({{"user", "hi"}})).text;
  };
  const auto config = [&](const OrderedJson& json) {
    write_file_atomically(folder / "tokenizer_config.json", json.dump());
  };
  expect_mentions(error_of([&] { text(folder.path()); }), {"chat_template.jinja", "neither"});
  config({{"bos_token", {{"content", "<b>"}}}, {"eos_token", nullptr}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"chat_template.jinja", "neither"});
  const std::string source = "{{ bos_token }}{{ eos_token }}{{ messages[0].content }}";
  config({{"bos_token", {{"content", "<b>"}}}, {"eos_token", nullptr}, {"chat_template", source}});
  EXPECT_EQ(text(folder.path()), "<b>hi");
  config({{"chat_template",
           OrderedJson::array({{{"name", "rag"}, {"template", "no"}}, {{"name", "default"}, {"template", "yes"}}})}});
  EXPECT_EQ(text(folder.path()), "yes");
  config({{"chat_template", OrderedJson::array({{{"name", "rag"}, {"template", "no"}}})}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"tokenizer_config.json", "default"});
  config({{"chat_template", "{{ messages[0].content"}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"tokenizer_config.json chat_template:1", "}}"});
  write_file_atomically(folder / "chat_template.jinja", "file {{ messages[0].content }}\n");
  EXPECT_EQ(text(folder.path()), "file hi");
  write_file_atomically(folder / "own.jinja", "own {{ messages[0].content }}");
  EXPECT_EQ(text(folder / "own.jinja"), "own hi");
}

TEST(ChatTemplate, TemplatesGoWhereTheTokenizerGoes) {
  const TemporaryFolder folder, copy;
  load_tokenizer("bytes")->save(folder.path());
  create_folders(folder / "additional_chat_templates");
  write_file_atomically(folder / "additional_chat_templates/tool_use.jinja", "tools");
  write_file_atomically(folder / "additional_chat_templates/notes.txt", "no template");
  write_file_atomically(folder / "chat_template.jinja", "plain");
  load_tokenizer(folder.path())->save(copy.path());
  EXPECT_EQ(chat_template_files(copy.path()), chat_template_files(folder.path()));
  EXPECT_EQ(read_file(copy / "additional_chat_templates/tool_use.jinja", "a copy"), "tools");
  EXPECT_EQ(read_file(copy / "chat_template.jinja", "a copy"), "plain");
}

TEST(ChatTemplate, TheDayIsTheOneThatItIsGiven) {
  const ChatTemplate today("{{ strftime_now('%d %B %Y') }}", "t", {}, "2024-07-26");
  EXPECT_EQ(today.lay_out(chat({{"user", "hi"}})).text, "26 July 2024");
  expect_mentions(
      error_of([&] {
        static_cast<void>(ChatTemplate("{{ strftime_now('%d') }}", "t", {}, "today").lay_out(chat({{"user", "hi"}})));
      }),
      {"t:1", "YYYY-MM-DD", "'today'"});
}

TEST(ChatTemplate, WhatIsNullInAMessageIsNotThere) {
  const ChatTemplate shown = make("{{ messages[0] }} {{ messages[0].content is defined }} {{ tools is none }}");
  EXPECT_EQ(
      shown
          .lay_out_json(
              R"({"messages": [{"role": "user", "content": null, "n": [null], "x": {"y": null}}], "tools": null})")
          .text,
      "{'role': 'user', 'n': [None], 'x': {'y': None}} False True");
}

TEST(ChatTemplate, ReasoningGoesByAllItsNames) {
  const ChatTemplate shown = make("{{ messages[0] }}");
  const auto keys = [&](const std::string& more) {
    return shown.lay_out_json(R"({"messages": [{"role": "assistant")" + more + "}]}").text;
  };
  EXPECT_EQ(keys(""), "{'role': 'assistant'}");
  EXPECT_EQ(keys(R"(, "reasoning": "r")"),
            "{'thinking': 'r', 'role': 'assistant', 'reasoning': 'r', 'reasoning_content': 'r'}");
  EXPECT_EQ(keys(R"(, "thinking": "t", "reasoning_content": null)"),
            "{'thinking': 't', 'role': 'assistant', 'reasoning_content': 't'}");
  EXPECT_EQ(keys(R"(, "thinking": "t", "reasoning_content": "c")"),
            "{'thinking': 't', 'role': 'assistant', 'reasoning_content': 'c'}");
}

TEST(ChatTemplate, NumbersOfConversationsKeepAllDigits) {
  const ChatTemplate shown = make("{{ messages[0].n }} {{ messages[0].n | tojson }}");
  for (const std::string number : {"9223372036854775808", "-12345678901234567890123", "1e+22", "-0.0", "0.1"})
    EXPECT_EQ(shown.lay_out_json(R"({"messages": [{"role": "user", "n": )" + number + "}]}").text,
              number + ' ' + number);
}

TEST(ChatTemplate, OneThatPrintsNothingIsRefused) {
  const auto message = [](const std::string& source, bool prompt) {
    return error_of([&] { static_cast<void>(make(source).lay_out(chat({{"user", "hi"}}), prompt)); });
  };
  for (const bool prompt : {false, true}) {
    expect_mentions(message("", prompt), {"t: expected a template that prints something", "nothing"});
    expect_mentions(
        message("{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% endif %}{% endfor %}", prompt),
        {"nothing"});
  }
}

TEST(ChatTemplate, OneForToolsLaysOutConversationsWithTools) {
  const TemporaryFolder folder;
  const OrderedJson plain = chat({{"user", "hi"}});
  OrderedJson with_tools = plain, without = plain;
  with_tools["tools"] = OrderedJson::array();
  without["tools"] = nullptr;
  const auto text = [&](const OrderedJson& record) {
    return load_chat_template(folder.path(), kDate).lay_out(record).text;
  };
  const auto config = [&](const OrderedJson& json) {
    write_file_atomically(folder / "tokenizer_config.json", json.dump());
  };
  config({{"chat_template", OrderedJson::array({{{"name", "default"}, {"template", "plain"}},
                                                {{"name", "tool_use"}, {"template", "tools {{ tools }}"}},
                                                {{"name", "rag"}, {"template", "{{ broken"}}})}});
  EXPECT_EQ(text(plain), "plain");
  EXPECT_EQ(text(without), "plain");
  EXPECT_EQ(text(with_tools), "tools []");
  // Files stand for themselves: what the config has is not read.
  create_folders(folder / "additional_chat_templates");
  write_file_atomically(folder / "additional_chat_templates/tool_use.jinja", "file for tools");
  EXPECT_EQ(text(with_tools), "file for tools");
  expect_mentions(error_of([&] { text(plain); }), {"a template named default"});
  write_file_atomically(folder / "chat_template.jinja", "file");
  EXPECT_EQ(text(plain), "file");
  EXPECT_EQ(chat_template_files(folder.path()),
            (std::vector<std::string>{"additional_chat_templates/tool_use.jinja", "chat_template.jinja"}));
}

TEST(ChatTemplate, RefusesWhatIsNoConversation) {
  const ChatTemplate any = make("{{ messages | length }}");
  const auto message = [&](const char* record) {
    return error_of([&] { static_cast<void>(any.lay_out(OrderedJson::parse(record))); });
  };
  expect_mentions(message(R"({"text": "a"})"), {"a list of messages", "none"});
  expect_mentions(message(R"({"messages": []})"), {"a list of messages", "[]"});
  expect_mentions(message(R"({"messages": [1]})"), {"messages with a role", "1"});
  expect_mentions(message(R"({"messages": [{"content": "a"}]})"), {"messages with a role", "content"});
}

}  // namespace
}  // namespace qad
