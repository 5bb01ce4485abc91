#include "data/text/record_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr auto kConversationKeys = std::to_array<std::string_view>({"messages", "conversations", "conversation"});

// Who speaks, in ShareGPT's words and in those of chat templates.
struct Speaker {
  std::string_view from, role;
};
constexpr auto kSpeakers = std::to_array<Speaker>({{"human", "user"},
                                                   {"gpt", "assistant"},
                                                   {"system", "system"},
                                                   {"user", "user"},
                                                   {"assistant", "assistant"},
                                                   {"chatgpt", "assistant"},
                                                   {"bot", "assistant"},
                                                   {"model", "assistant"},
                                                   {"tool", "tool"},
                                                   {"observation", "tool"},
                                                   {"function_response", "tool"}});

std::string role_of(const std::string& from, const std::string& who) {
  const auto found = std::ranges::find(kSpeakers, from, &Speaker::from);
  if (found != kSpeakers.end()) return std::string(found->role);
  throw Error({.who = who,
               .expected = "from: human, gpt, system, tool, or another name that ShareGPT uses",
               .got = fmt::format("\"{}\"", from),
               .hint = "as messages with a role, any speaker can be named"});
}

// {"from": "human", "value": "…"} as {"role": "user", "content": "…"}; what has a role stays as it is.
OrderedJson message_of(const OrderedJson& turn, const std::string& who) {
  if (!turn.is_object()) throw Error({.who = who, .expected = "messages that are objects", .got = turn.type_name()});
  if (turn.contains("role") || !turn.contains("from")) return turn;
  const OrderedJson &from = turn.at("from"), value = turn.value("value", OrderedJson());
  if (!from.is_string() || !value.is_string())
    throw Error({.who = who, .expected = "turns with texts under from and value", .got = turn.dump().substr(0, 60)});
  OrderedJson message = {{"role", role_of(from, who)}, {"content", value}};
  for (const auto& [key, other] : turn.items())
    if (key != "from" && key != "value") message[key] = other;
  return message;
}

OrderedJson messages_of(const OrderedJson& turns, const JsonRecord& record) {
  OrderedJson messages = OrderedJson::array();
  for (const OrderedJson& turn : turns) messages.push_back(message_of(turn, record.who()));
  return messages;
}

// ShareGPT's records may have the system's message beside the turns.
OrderedJson with_system(OrderedJson messages, const JsonRecord& record) {
  const OrderedJson* system = record.find("system");
  const bool has_own = !messages.empty() && messages[0].value("role", OrderedJson()) == "system";
  if (system == nullptr || !system->is_string() || system->get_ref<const std::string&>().empty() || has_own)
    return messages;
  messages.insert(messages.begin(), OrderedJson{{"role", "system"}, {"content", *system}});
  return messages;
}

// Tables can't hold tools of different forms, so many have them as JSON in a text.
OrderedJson tools_of(const JsonRecord& record) {
  const OrderedJson* tools = record.find("tools");
  if (tools == nullptr) return {};
  if (!tools->is_string()) return *tools;
  const std::string& text = tools->get_ref<const std::string&>();
  if (text.empty()) return {};
  OrderedJson parsed = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array())
    throw Error({.who = record.who() + ": tools", .expected = "a list of tools, or one as JSON text", .got = text});
  return parsed;
}

// What stands in the place of a value that find() doesn't give.
std::string instead_of(const std::string& key, const JsonRecord& record) {
  return record.is_null(key) ? "null" : "no such key among " + record.keys();
}

std::string text_at(const JsonRecord& record, const std::string& key, std::string_view hint) {
  const OrderedJson* value = record.find(key);
  if (value == nullptr || !value->is_string())
    throw Error({.who = record.who(),
                 .expected = fmt::format("text under the key '{}'", key),
                 .got = value != nullptr ? value->type_name() : instead_of(key, record),
                 .hint = std::string(hint)});
  return value->get<std::string>();
}

}  // namespace

RecordReader::RecordReader(TextFormat format, fs::path template_folder)
    : format_(std::move(format)),
      template_place_(format_.chat_template ? fs::path(*format_.chat_template) : std::move(template_folder)) {}

RecordReader::Shape RecordReader::shape_of(const JsonRecord& record) const {
  const std::string& field = *format_.field;
  if (const OrderedJson* value = record.find(field))
    return {value->is_array() ? Kind::conversation : Kind::text, field, record.who()};
  const bool is_default = field == default_text_format().field;
  if (!is_default || format_.prompt_field) return {Kind::text, field, record.who()};
  for (const std::string_view key : kConversationKeys)
    if (record.has(key)) return {Kind::conversation, std::string(key), record.who()};
  if (record.has("prompt") && record.has("completion")) return {Kind::pair, "completion", record.who()};
  std::string hint = "name the text's key with field";
  if (record.is_null(field)) hint = "leave this record out";
  else if (record.has("instruction") && record.has("output"))
    hint = "write instruction, input and output as messages of a user and an assistant";
  throw Error(
      {.who = record.who(),
       .expected = fmt::format("text under the key '{}', messages, conversations, or prompt and completion", field),
       .got = instead_of(field, record),
       .hint = hint});
}

std::string RecordReader::hint_of_kind(const JsonRecord& record) const {
  if (shape_->first == record.who()) return "";
  return fmt::format("a file has one kind of record, here that of {}; a mixture reads several", shape_->first);
}

TextDocument RecordReader::read(const JsonRecord& record) {
  if (!shape_) shape_ = shape_of(record);
  switch (shape_->kind) {
    case Kind::text: return read_text(record);
    case Kind::pair: return read_pair(record);
    case Kind::conversation: break;
  }
  const OrderedJson* turns = record.find(shape_->key);
  if (turns == nullptr || !turns->is_array())
    throw Error({.who = record.who(),
                 .expected = fmt::format("a list of messages under '{}'", shape_->key),
                 .got = turns != nullptr ? turns->type_name() : instead_of(shape_->key, record),
                 .hint = hint_of_kind(record)});
  OrderedJson messages = messages_of(*turns, record);
  if (shape_->key != "messages") messages = with_system(std::move(messages), record);
  return conversation(messages, record);
}

TextDocument RecordReader::read_text(const JsonRecord& record) const {
  if (format_.loss_on == LossOn::assistant)
    throw Error(
        {record.who(), "messages, as loss_on: assistant needs them", "a text", "prompt_field masks prompts of texts"});
  std::string hint = hint_of_kind(record);
  if (hint.empty()) hint = "name another key with field or prompt_field";
  std::string text = text_at(record, shape_->key, hint);
  std::string prompt =
      format_.prompt_field ? text_at(record, *format_.prompt_field, hint) + *format_.prompt_separator : "";
  return {std::move(text), std::move(prompt)};
}

TextDocument RecordReader::read_pair(const JsonRecord& record) {
  const OrderedJson *prompt = record.find("prompt"), *completion = record.find("completion");
  const auto type = [](const OrderedJson* value) { return value == nullptr ? "nothing" : value->type_name(); };
  if (type(prompt) != std::string_view(type(completion)) || prompt == nullptr ||
      !(prompt->is_string() || prompt->is_array()))
    throw Error({.who = record.who(),
                 .expected = "two texts, or two lists of messages, under prompt and completion",
                 .got = fmt::format("{} and {}", type(prompt), type(completion)),
                 .hint = hint_of_kind(record)});
  if (prompt->is_string()) {
    const auto &before = prompt->get_ref<const std::string&>(), &after = completion->get_ref<const std::string&>();
    if (format_.loss_on == LossOn::assistant) return {after, before};
    return {before + after, ""};
  }
  const OrderedJson asked = messages_of(*prompt, record);
  OrderedJson messages = asked;
  for (OrderedJson& message : messages_of(*completion, record)) messages.push_back(std::move(message));
  return conversation(messages, record, &asked);
}

TextDocument RecordReader::conversation(const OrderedJson& messages, const JsonRecord& record,
                                        const OrderedJson* prompt) {
  ChatText chat = lay_out(messages, record, false);
  TextDocument document{std::move(chat.text), "", std::nullopt, /*has_frame=*/true};
  if (format_.loss_on == LossOn::all) return document;
  if (prompt != nullptr) {  // an assistant's turns before the completion are part of the prompt
    const std::string before = lay_out(*prompt, record, false).text;
    if (!document.text.starts_with(before))
      throw Error({.who = record.who(),
                   .expected = "a template that lays a prompt out alike with and without its completion",
                   .got = "one that does not",
                   .hint = "as messages, all of the assistant's turns are labels"});
    std::erase_if(chat.assistant, [&](const TextSpan& span) { return span.begin < before.size(); });
  }
  if (chat.assistant.empty())
    throw Error({.who = record.who(),
                 .expected = "a message of the assistant that the template prints in a loop over messages",
                 .got = "none",
                 .hint = "loss_on: all takes any conversation"});
  document.labels = std::move(chat.assistant);
  return document;
}

ChatText RecordReader::lay_out(const OrderedJson& messages, const JsonRecord& record, bool for_answer) {
  if (!template_) template_ = load_chat_template(template_place_, *format_.template_date);
  OrderedJson laid = {{"messages", messages}};  // templates see the keys in their order
  if (OrderedJson tools = tools_of(record); !tools.is_null()) laid["tools"] = std::move(tools);
  try {
    return template_->lay_out(laid, for_answer);
  } catch (const Stopped&) {
    throw;
  } catch (const Error& error) {
    throw Error({.who = record.who(), .got = error.what()}, error.code());
  }
}

TextPrompt RecordReader::read_prompt(const JsonRecord& record) {
  const auto laid_out = [&](const OrderedJson& turns, bool may_have_system) {
    OrderedJson messages = messages_of(turns, record);
    if (may_have_system) messages = with_system(std::move(messages), record);
    return TextPrompt{lay_out(messages, record, true).text, true};
  };
  for (const std::string_view key : kConversationKeys)
    if (const OrderedJson* turns = record.find(key); turns != nullptr && turns->is_array())
      return laid_out(*turns, key != "messages");
  const OrderedJson* prompt = record.find("prompt");
  if (prompt != nullptr && prompt->is_array()) return laid_out(*prompt, false);
  if (prompt == nullptr) prompt = record.find(*format_.field);
  if (prompt == nullptr || !prompt->is_string())
    throw Error(
        {record.who(), "messages, conversations, or text under prompt", "no such key among " + record.keys(), ""});
  return {prompt->get<std::string>(), false};
}

}  // namespace qad
