// Chat templates: equal to Python's jinja2 in goldens, which text the assistant's is, where templates are found, and
// what is refused.
#include "data/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/parser.h"
#include "data/json_file.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::error_of;
using testing::expect_mentions;
using testing::TemporaryFolder;

constexpr const char* kDate = "2025-03-09";

fs::path golden_folder() { return testing::source_dir() / "tests/data/golden"; }

Json goldens() { return Json::parse(read_file(golden_folder() / "chat_templates.json", "goldens")); }

ChatTemplate make(const std::string& source) {
  return ChatTemplate(source, "t", {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}}, kDate);
}

ChatTemplate published(const std::string& name) {
  return make(read_file(golden_folder() / "chat" / (name + ".jinja"), "a template"));
}

std::string run(const std::string& source, const Json& variables = Json::object()) {
  jinja::Environment environment{"t", *jinja::from_json(variables).dict(), kDate};
  return jinja::run_template(jinja::parse_template(source, "t"), environment).text;
}

Json chat(const std::vector<std::pair<std::string, std::string>>& turns) {
  Json messages = Json::array();
  for (const auto& [role, content] : turns) messages.push_back({{"role", role}, {"content", content}});
  return {{"messages", messages}};
}

TEST(Jinja, PiecesEqualPythons) {
  const Json golden = goldens();
  for (const Json& piece : golden.at("pieces")) {
    const std::string source = piece.at("source");
    std::string text;
    const std::string error = error_of([&] { text = run(source, golden.at("variables")); });
    if (piece.at("text").is_null()) EXPECT_NE(error, "no error") << source << "\n" << text;
    else EXPECT_EQ(error == "no error" ? text : error, piece.at("text").get<std::string>()) << source;
  }
}

TEST(Jinja, ANamespaceMayHoldItself) {
  EXPECT_EQ(run("{% set ns = namespace(n=1) %}{% set ns.self = [ns] %}{{ ns.self[0].n }}"), "1");
}

TEST(ChatTemplate, TextsEqualPythons) {
  const Json golden = goldens();
  for (const Json& group : golden.at("groups")) {
    const std::string name = group.at("template");
    const ChatTemplate chat_template = published(name.substr(0, name.find('.')));
    for (std::size_t i = 0; i < golden.at("chats").size(); ++i) {
      const Json &conversation = golden.at("chats")[i], &expected = group.at("texts")[i];
      std::string text;
      const std::string error = error_of([&] { text = chat_template.lay_out(conversation, i % 2 == 0).text; });
      if (expected.is_null()) EXPECT_NE(error, "no error") << name << ' ' << conversation;
      else EXPECT_EQ(error == "no error" ? text : error, expected.get<std::string>()) << name << ' ' << conversation;
    }
  }
}

/// What the assistant writes, a | after each turn.
std::string assistant(const std::string& name, const Json& record) {
  const ChatText laid_out = published(name).lay_out(record);
  std::string turns;
  for (const TextSpan& span : laid_out.assistant)
    turns += laid_out.text.substr(span.begin, span.end - span.begin) + '|';
  return turns;
}

TEST(ChatTemplate, TellsWhatTheAssistantWrites) {
  const Json two =
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
  const auto config = [&](const Json& json) { write_file_atomically(folder / "tokenizer_config.json", json.dump()); };
  expect_mentions(error_of([&] { text(folder.path()); }), {"chat_template.jinja", "neither"});
  config({{"bos_token", {{"content", "<b>"}}}, {"eos_token", nullptr}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"chat_template.jinja", "neither"});
  const std::string source = "{{ bos_token }}{{ eos_token }}{{ messages[0].content }}";
  config({{"bos_token", {{"content", "<b>"}}}, {"eos_token", nullptr}, {"chat_template", source}});
  EXPECT_EQ(text(folder.path()), "<b>hi");
  config({{"chat_template",
           Json::array({{{"name", "rag"}, {"template", "no"}}, {{"name", "default"}, {"template", "yes"}}})}});
  EXPECT_EQ(text(folder.path()), "yes");
  config({{"chat_template", Json::array({{{"name", "rag"}, {"template", "no"}}})}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"tokenizer_config.json", "default"});
  config({{"chat_template", "{{ messages[0].content"}});
  expect_mentions(error_of([&] { text(folder.path()); }), {"tokenizer_config.json chat_template:1", "}}"});
  write_file_atomically(folder / "chat_template.jinja", "file {{ messages[0].content }}\n");
  EXPECT_EQ(text(folder.path()), "file hi");
  write_file_atomically(folder / "own.jinja", "own {{ messages[0].content }}");
  EXPECT_EQ(text(folder / "own.jinja"), "own hi");
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

TEST(ChatTemplate, RefusesWithLineAndWord) {
  const auto message = [](const std::string& source) { return error_of([&] { run("one\ntwo\n" + source); }); };
  expect_mentions(message("{% macro f() %}{% endmacro %}"),
                  {"t:3: expected a tag among for", "'macro'", "part of Jinja"});
  expect_mentions(message("{% include 'x' %}"), {"t:3", "'include'"});
  expect_mentions(message("{{ 'a' | wordwrap }}"), {"t:3: expected a filter among capitalize", "'wordwrap'"});
  expect_mentions(message("{{ 'a' is sameas 1 }}"), {"t:3: expected a test among boolean", "'sameas'"});
  expect_mentions(message("\n{{ 'a'.zfill(3) }}"), {"t:4", "'zfill'"});
  expect_mentions(message("{{ {'items': 1}.items }}"), {"t:3", "'items'", "['items']"});
  expect_mentions(message("{{ lipsum() }}"), {"t:3", "a function among dict", "'lipsum' is undefined"});
  expect_mentions(message("{{ missing.x }}"), {"t:3: 'missing' is undefined"});
  expect_mentions(message("{{ {}.x.y }}"), {"t:3: 'dict object' has no attribute 'x'"});
  expect_mentions(message("{{ raise_exception('Roles must alternate') }}"), {"t:3: Roles must alternate"});
  expect_mentions(message("{% if true %}\nx"), {"t:3", "endif", "'if'"});
  expect_mentions(message("{% for x in [] recursive %}{% endfor %}"), {"t:3", "'recursive'"});
  expect_mentions(message("{% break %}"), {"t:3", "'break'"});
  expect_mentions(message("{% endif %}"), {"t:3", "'endif'"});
  expect_mentions(message("{{ 'abc }}"), {"t:3", "an end of the string"});
  expect_mentions(message("{# abc"), {"t:3", "#}"});
  expect_mentions(message("{{ (1]) }}"), {"t:3", "']' without its '['"});
  expect_mentions(message("{{ 2 ** 3 }}"), {"t:3", "'**'"});
  expect_mentions(message("{{ 'É' | lower }}"), {"t:3", "ASCII"});
  expect_mentions(message("{{ 9223372036854775807 + 1 }}"), {"t:3", "64 bits"});
  expect_mentions(message("{{ range(1000000) }}"), {"t:3", "100000"});
  expect_mentions(message("{{ " + std::string(200, '(') + "1" + std::string(200, ')') + " }}"), {"t:3", "100 deep"});
  std::string blocks;
  for (int i = 0; i < 200; ++i) blocks += "{% if true %}";
  expect_mentions(message(blocks), {"t:3", "100 deep"});
}

TEST(ChatTemplate, RefusesToRunForEver) {
  const std::string endless = "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}";
  for (const std::int64_t most : {1, 1000, 100000}) {
    jinja::Environment environment{"t", {}, kDate, most};
    expect_mentions(
        error_of([&] { static_cast<void>(jinja::run_template(jinja::parse_template(endless, "t"), environment)); }),
        {"t:1", (std::to_string(most) + " steps").c_str()});
  }
  EXPECT_LE(jinja::Environment().most_steps, 10'000'000);  // a second or two
}

TEST(ChatTemplate, RefusesWhatIsNoConversation) {
  const ChatTemplate any = make("{{ messages | length }}");
  const auto message = [&](const char* record) {
    return error_of([&] { static_cast<void>(any.lay_out(Json::parse(record))); });
  };
  expect_mentions(message(R"({"text": "a"})"), {"a list of messages", "none"});
  expect_mentions(message(R"({"messages": []})"), {"a list of messages", "[]"});
  expect_mentions(message(R"({"messages": [1]})"), {"messages with a role", "1"});
  expect_mentions(message(R"({"messages": [{"content": "a"}]})"), {"messages with a role", "content"});
}

}  // namespace
}  // namespace qad
