#include "data/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/jinja/evaluator.h"
#include "data/jinja/parser.h"
#include "data/json_file.h"

namespace qad {
namespace fs = std::filesystem;

struct ChatTemplate::Parsed {
  jinja::Block program;
  jinja::Environment environment;
  std::string header;  ///< what a prompt for the assistant ends with

  [[nodiscard]] jinja::Rendering render(const jinja::Value& messages, const jinja::Value& tools,
                                        bool add_generation_prompt) const {
    jinja::Environment here = environment;
    here.variables.set("messages", messages);
    here.variables.set("tools", tools);
    here.variables.set("documents", jinja::None());
    here.variables.set("add_generation_prompt", add_generation_prompt);
    return jinja::run_template(program, here);
  }

  /// Found on a conversation of one question; empty for a template that takes no such conversation.
  [[nodiscard]] std::string find_header() const {
    jinja::Dict question;
    question.items = {{"role", "user"}, {"content", "Hello"}};
    const jinja::Value messages(jinja::List{jinja::Value(std::move(question))});
    try {
      const std::string without = render(messages, jinja::None(), false).text;
      const std::string with = render(messages, jinja::None(), true).text;
      return with.starts_with(without) ? with.substr(without.size()) : "";
    } catch (const Error&) {
      return "";
    }
  }

  [[nodiscard]] std::vector<TextSpan> assistant_spans(const jinja::Rendering& rendering,
                                                      const jinja::Value& messages) const {
    std::set<const jinja::Dict*> turns;
    for (const jinja::Value& message : *messages.list())
      if (*message.dict()->find("role") == jinja::Value("assistant")) turns.insert(message.dict());
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

namespace {

using Json = nlohmann::json;

/// The text of a special token: as such, or as an object with its `content`.
std::string token_text(const Json& token) {
  if (token.is_object()) return token_text(token.value("content", Json()));
  return token.is_string() ? token.get<std::string>() : "";
}

/// The first file that names a token decides.
std::vector<std::pair<std::string, std::string>> special_tokens(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> tokens;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Json config = read_json_file(folder / name, name);
    if (!config.is_object()) continue;
    for (const auto& [key, value] : config.items()) {
      const std::string text = key.ends_with("_token") ? token_text(value) : "";
      if (!text.empty() &&
          std::ranges::find(tokens, key, [](const auto& token) { return token.first; }) == tokens.end())
        tokens.emplace_back(key, text);
    }
  }
  return tokens;
}

/// Of several templates the one named default.
std::string default_template(const Json& value, const std::string& who) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array())
    for (const Json& entry : value)
      if (entry.is_object() && entry.value("name", Json()) == "default" && entry.value("template", Json()).is_string())
        return entry.at("template").get<std::string>();
  throw Error({who, "a template, or a list of them with one named default", value.type_name(), ""});
}

jinja::Value messages_of(const nlohmann::ordered_json& record, const std::string& who) {
  const auto messages = record.find("messages");
  if (messages == record.end() || !messages->is_array() || messages->empty())
    throw Error({who, "a list of messages", messages == record.end() ? "none" : messages->dump().substr(0, 40), ""});
  for (const auto& message : *messages)
    if (!message.is_object() || !message.contains("role") || !message.at("role").is_string())
      throw Error({who, "messages with a role, and content", message.dump().substr(0, 40), ""});
  return jinja::from_json(*messages);
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string who,
                           std::vector<std::pair<std::string, std::string>> variables, std::string date) {
  auto parsed = std::make_unique<Parsed>();
  parsed->program = jinja::parse_template(source, who);
  parsed->environment.who = std::move(who);
  parsed->environment.date = std::move(date);
  for (auto& [name, text] : variables) parsed->environment.variables.set(name, std::move(text));
  parsed->header = parsed->find_header();
  parsed_ = std::move(parsed);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatText ChatTemplate::lay_out(const nlohmann::ordered_json& record, bool add_generation_prompt) const {
  const jinja::Value messages = messages_of(record, parsed_->environment.who);
  const auto tools = record.find("tools");
  jinja::Rendering rendering = parsed_->render(
      messages, tools == record.end() ? jinja::Value() : jinja::from_json(*tools), add_generation_prompt);
  std::vector<TextSpan> spans = parsed_->assistant_spans(rendering, messages);
  return {std::move(rendering.text), std::move(spans)};
}

bool has_chat_template(const fs::path& folder) {
  if (fs::exists(folder / "chat_template.jinja")) return true;
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return false;
  const Json config = read_json_file(file, "a tokenizer_config.json");
  return config.is_object() && !config.value("chat_template", Json()).is_null();
}

ChatTemplate load_chat_template(const fs::path& place, const std::string& date) {
  const bool is_folder = fs::is_directory(place);
  const fs::path folder = is_folder ? place : place.parent_path();
  fs::path file = place;
  if (is_folder) file /= fs::exists(place / "chat_template.jinja") ? "chat_template.jinja" : "tokenizer_config.json";
  if (!place.empty() && file.extension() != ".json")
    return ChatTemplate(read_file(file, "a chat template"), file.string(), special_tokens(folder), date);

  if (!has_chat_template(folder))
    throw Error({place.empty() ? "a conversation" : place.string(),
                 "a chat_template.jinja, or chat_template in tokenizer_config.json, to lay messages out", "neither",
                 "name one with chat_template, or write the conversations out as text"});
  const Json config = read_json_file(file, "a tokenizer_config.json");
  const std::string who = file.string() + " chat_template";
  return ChatTemplate(default_template(config.at("chat_template"), who), who, special_tokens(folder), date);
}

}  // namespace qad
