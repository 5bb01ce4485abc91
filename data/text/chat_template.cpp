#include "data/text/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "data/jinja/compare.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/failure.h"
#include "data/jinja/json.h"
#include "data/jinja/parser.h"
#include "data/jinja/strings.h"
#include "data/tokenizer/tokens_beside.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

using jinja::Dict;
using jinja::List;
using jinja::Value;

bool is_assistant(const Value& message) {
  const Value* role = message.dict() != nullptr ? message.dict()->find("role") : nullptr;
  return role != nullptr && role->bytes() != nullptr && *role->bytes() == "assistant";
}

}  // namespace

// A conversation as templates see it.
struct detail::Conversation {
  Value messages, tools;
  jinja::Limits limits;
};
using detail::Conversation;

struct ChatTemplate::Parsed {
  jinja::Block program;
  jinja::Environment environment;
  std::string header;  // what a prompt for the assistant ends with

  Parsed(const NamedTemplate& named, const Variables& variables, const std::string& date)
      : program(jinja::parse_template(named.source, named.who)) {
    environment.who = named.who;
    environment.date = date;
    for (const auto& [name, text] : variables) environment.variables.set(name, text);
    header = find_header();
  }

  [[nodiscard]] jinja::Rendering render(const Conversation& conversation, bool add_generation_prompt) const {
    jinja::Environment here = environment;
    here.limits = conversation.limits;
    here.variables.set("messages", conversation.messages);
    here.variables.set("tools", conversation.tools);
    here.variables.set("documents", jinja::None());
    here.variables.set("add_generation_prompt", add_generation_prompt);
    return jinja::run_template(program, here);
  }

  // Found on a conversation of one question; empty for a template that takes no such conversation.
  [[nodiscard]] std::string find_header() const {
    Dict question;
    question.set("role", "user");
    question.set("content", "Hello");
    List messages;
    messages.add(std::move(question));
    const Conversation conversation{std::move(messages), jinja::None(), {}};
    try {
      const std::string without = render(conversation, false).text;
      const std::string with = render(conversation, true).text;
      return with.starts_with(without) ? with.substr(without.size()) : "";
    } catch (const jinja::Ended&) {
      throw;  // a template that never ends
    } catch (const Stopped&) {
      throw;
    } catch (const Error&) {
      return "";
    }
  }

  [[nodiscard]] std::vector<TextSpan> assistant_spans(const jinja::Rendering& rendering, const Value& messages) const {
    std::set<const Dict*> turns;
    for (const Value& message : messages.list()->items)
      if (is_assistant(message)) turns.insert(message.dict());
    const bool marked = std::ranges::any_of(rendering.spans, [](const auto& span) { return span.item == nullptr; });
    std::vector<TextSpan> spans;
    for (const jinja::Span& span : rendering.spans) {
      if (span.begin == span.end || (marked ? span.item != nullptr : !turns.contains(span.item))) continue;
      const std::string_view text = std::string_view(rendering.text).substr(span.begin, span.end - span.begin);
      const auto shared = std::mismatch(text.begin(), text.end(), header.begin(), header.end()).first - text.begin();
      spans.push_back({span.begin + static_cast<std::size_t>(shared), span.end});
    }
    return spans;
  }
};

struct ChatTemplate::Choice {
  std::optional<Parsed> usual, with_tools;
  std::string who;
};

namespace {

// For messages: the beginning of a value as JSON.
std::string beginning(const Value& value) {
  std::string text;
  jinja::Budget budget{jinja::Limits()};
  jinja::Writer out(text, budget);
  try {
    jinja::write_json(value, {}, out);
  } catch (const jinja::Failure&) {  // it is large
  }
  return text.substr(0, jinja::byte_of(text, 40));
}

// What is null in a message is as if it were not there; reasoning goes by all names that templates know for it.
Dict normalized(const Dict& message) {
  const Value* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = message.find(name);
    if (reasoning == nullptr && found != nullptr && !found->is<jinja::None>()) reasoning = found;
  }
  Dict result;
  if (reasoning != nullptr) result.set("thinking", *reasoning);
  for (const auto& [key, value] : message.entries())
    if (!value.is<jinja::None>()) result.set(key, value);
  if (reasoning != nullptr) result.set("reasoning_content", *reasoning);
  return result;
}

// `size` is that of its text.
Conversation conversation_of(const Value& record, std::size_t size, const std::string& who) {
  const Dict* object = record.dict();
  const Value* messages = object != nullptr ? object->find("messages") : nullptr;
  const List* list = messages != nullptr ? messages->list() : nullptr;
  if (list == nullptr || list->items.empty())
    throw Error(
        {.who = who, .expected = "a list of messages", .got = messages == nullptr ? "none" : beginning(*messages)});
  List turns;
  for (const Value& message : list->items) {
    const Value* role = message.dict() != nullptr ? message.dict()->find("role") : nullptr;
    if (role == nullptr || role->bytes() == nullptr)
      throw Error({.who = who, .expected = "messages with a role, and content", .got = beginning(message)});
    turns.add(normalized(*message.dict()));
  }
  const Value* tools = object->find("tools");
  return {std::move(turns), tools != nullptr ? *tools : Value(), jinja::Limits::for_conversation(size)};
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string who, Variables variables, std::string date)
    : ChatTemplate({NamedTemplate{"default", std::move(who), std::string(source)}}, variables, date) {}

ChatTemplate::ChatTemplate(const std::vector<NamedTemplate>& templates, const Variables& variables,
                           const std::string& date) {
  auto choice = std::make_unique<Choice>();
  for (const NamedTemplate& named : templates) {
    choice->who = named.who;
    if (named.name == "default") choice->usual.emplace(named, variables, date);
    if (named.name == "tool_use") choice->with_tools.emplace(named, variables, date);
  }
  if (!choice->usual && !choice->with_tools)
    throw Error({.who = choice->who, .expected = "a template named default", .got = "others only"});
  choice_ = std::move(choice);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatText ChatTemplate::lay_out_json(std::string_view record, bool add_generation_prompt) const {
  return laid_out(conversation_of(jinja::read_json(record, choice_->who), record.size(), choice_->who),
                  add_generation_prompt);
}

ChatText ChatTemplate::lay_out(const nlohmann::ordered_json& record, bool add_generation_prompt) const {
  const std::size_t size = record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).size();
  return laid_out(conversation_of(jinja::value_of(record), size, choice_->who), add_generation_prompt);
}

ChatText ChatTemplate::laid_out(const Conversation& conversation, bool add_generation_prompt) const {
  const bool tools = choice_->with_tools && !conversation.tools.is<jinja::None>();
  if (!tools && !choice_->usual)
    throw Error({.who = choice_->who,
                 .expected = "a template named default for a conversation without tools",
                 .got = "others only"});
  const Parsed& parsed = tools ? *choice_->with_tools : *choice_->usual;
  jinja::Rendering rendering = parsed.render(conversation, add_generation_prompt);
  if (rendering.text.empty())
    throw Error({.who = parsed.environment.who,
                 .expected = "a template that prints something for this conversation",
                 .got = "nothing"});
  std::vector<TextSpan> spans = parsed.assistant_spans(rendering, conversation.messages);
  return {std::move(rendering.text), std::move(spans)};
}

ChatTemplate load_chat_template(const fs::path& place, const std::string& date) {
  const bool is_folder = place.empty() || fs::is_directory(place);
  std::vector<NamedTemplate> templates;
  if (is_folder || place.extension() == ".json") templates = read_chat_templates(place);
  else templates.push_back({"default", place.string(), read_file(place, "a chat template")});
  return ChatTemplate(templates, read_tokens_beside(is_folder ? place : place.parent_path()).named, date);
}

}  // namespace qad
