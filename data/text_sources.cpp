#include "data/text_sources.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/chat_template.h"
#include "data/json_file.h"
#include "data/utf8.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

std::string read_utf8(const fs::path& file, std::string_view what) {
  std::string text = read_file_or_pipe(file, what, kAnySize);
  if (text.empty()) throw Error({file.string(), std::string(what), "an empty file", ""});
  check_utf8(text, file.string());
  return text;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(leading_white_space(text));
  text.remove_suffix(trailing_white_space(text));
  return text;
}

/// Calls visit(line, its number from 1) for the lines that are not blank.
template <class Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  std::int64_t number = 1;
  for (std::size_t at = 0; at < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!trimmed(line).empty()) visit(line, number);
    at = end + 1;
  }
}

/// Lays conversations out; the template is read when the first one comes.
class ConversationReader {
 public:
  ConversationReader(fs::path template_place, std::string date)
      : place_(std::move(template_place)), date_(std::move(date)) {}

  ChatText read(std::string_view line, const std::string& who, bool add_generation_prompt) {
    if (!template_) template_ = load_chat_template(place_, date_);
    try {
      return template_->lay_out_json(line, add_generation_prompt);
    } catch (const Error& error) {
      throw Error({who, "", error.what(), ""}, error.code());
    }
  }

 private:
  fs::path place_;
  std::string date_;
  std::optional<ChatTemplate> template_;
};

TextDocument conversation(ChatText chat, LossOn loss_on, const std::string& who) {
  TextDocument document{std::move(chat.text), "", std::nullopt, /*has_frame=*/true};
  if (loss_on == LossOn::all) return document;
  if (chat.assistant.empty())
    throw Error({who, "a message of the assistant that the template prints in a loop over messages", "none",
                 "loss_on: all takes any conversation"});
  document.labels = std::move(chat.assistant);
  return document;
}

nlohmann::json json_object(std::string_view line, const std::string& who) {
  nlohmann::json object = parse_json(line, who, /*is_line=*/true);
  if (!object.is_object()) throw Error({who, "a JSON object", object.type_name(), ""});
  return object;
}

}  // namespace

std::vector<TextDocument> read_text(const fs::path& file, const SourceConfig& config) {
  const std::string text = read_utf8(file, "a text");
  if (config.separator.empty()) return {{text, ""}};
  std::vector<TextDocument> documents;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find(config.separator, at);
    if (end == std::string::npos && config.drop_last_document) break;
    std::string_view document = std::string_view(text).substr(at, end == std::string::npos ? end : end - at);
    if (config.trim) document = trimmed(document);
    if (!document.empty()) documents.push_back({std::string(document), ""});
    if (end == std::string::npos) break;
    at = end + config.separator.size();
  }
  return documents;
}

std::vector<TextDocument> read_jsonl(const fs::path& file, const SourceConfig& config,
                                     const fs::path& template_folder) {
  const std::string text = read_utf8(file, "JSON lines");
  ConversationReader conversations(config.chat_template ? fs::path(*config.chat_template) : template_folder,
                                   config.template_date);
  std::vector<TextDocument> documents;
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    const std::string who = file.string() + ':' + std::to_string(number);
    const nlohmann::json object = json_object(line, who);
    if (!object.contains(config.field) && object.contains("messages") && !config.prompt_field) {
      documents.push_back(conversation(conversations.read(line, who, false), config.loss_on, who));
      return;
    }
    if (config.loss_on == LossOn::assistant)
      throw Error({who, "messages, as loss_on: assistant needs them", "a text", "prompt_field masks prompts of texts"});
    const auto field = [&](const std::string& key) {
      const auto found = object.find(key);
      if (found == object.end() || !found->is_string())
        throw Error({who, "text under the key '" + key + '\'',
                     found == object.end() ? "no such key" : found->type_name(),
                     "name another key with field or prompt_field"});
      return found->get<std::string>();
    };
    TextDocument document{field(config.field),
                          config.prompt_field ? field(*config.prompt_field) + config.prompt_separator : ""};
    if (!document.text.empty()) documents.push_back(std::move(document));
  });
  return documents;
}

std::vector<std::string> read_lines(const fs::path& file) {
  const std::string text = read_utf8(file, "a text with one prompt a line");
  std::vector<std::string> lines;
  for_each_line(text, [&](std::string_view line, std::int64_t) { lines.emplace_back(line); });
  return lines;
}

std::vector<std::string> read_conversations(const fs::path& file, const fs::path& template_folder) {
  const std::string text = read_utf8(file, "JSON lines with messages");
  ConversationReader conversations(template_folder, SourceConfig().template_date);
  std::vector<std::string> prompts;
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    const std::string who = file.string() + ':' + std::to_string(number);
    static_cast<void>(json_object(line, who));
    prompts.push_back(conversations.read(line, who, true).text);
  });
  return prompts;
}

}  // namespace qad
