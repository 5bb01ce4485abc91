// What the records of a JSON lines file hold, told by the keys of the first: texts, conversations, or prompts with
// their completions. Which files there are is text_sources' part; how a conversation is laid out the chat template's.
//
//   {"text": "…"}                                             SourceConfig's field, perhaps with a prompt_field
//   {"messages": [{"role": "user", "content": "…"}, …]}       as OpenAI and Hugging Face have it, perhaps with `tools`
//   {"conversations": [{"from": "human", "value": "…"}, …]}   ShareGPT's, perhaps with `system`
//   {"prompt": "…", "completion": "…"}                        TRL's: two texts, or two lists of messages
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "data/text/chat_template.h"
#include "data/text/data_config.h"
#include "data/text/json_record.h"
#include "data/text/text_document.h"

namespace qad {

/// What a document begins with, for somebody to go on from.
struct TextPrompt {
  std::string text;
  bool has_frame = false;  ///< laid out by a chat template, which writes start tokens itself
};

class RecordReader {
 public:
  /// Every key of `format` says something. The template is read when the first conversation comes: the format's, or
  /// the one in `template_folder`.
  RecordReader(TextFormat format, std::filesystem::path template_folder);

  /// The next record is the first of a file.
  void begin_file() { shape_.reset(); }
  /// Throws Error naming the record for one of another kind than the first, for values of other types than these, and
  /// for what the template refuses. Without a word in it, the document's text is empty.
  [[nodiscard]] TextDocument read(const JsonRecord& record);
  /// A conversation up to where the assistant begins, or the text under `prompt` or the field.
  [[nodiscard]] TextPrompt read_prompt(const JsonRecord& record);

 private:
  enum class Kind { text, conversation, pair };
  struct Shape {
    Kind kind;
    std::string key;    ///< of the text or the messages
    std::string first;  ///< the record that has told it
  };

  [[nodiscard]] Shape shape_of(const JsonRecord& record) const;
  /// Of a record that may be of another kind than the first.
  [[nodiscard]] std::string hint_of_kind(const JsonRecord& record) const;
  [[nodiscard]] TextDocument read_text(const JsonRecord& record) const;
  [[nodiscard]] TextDocument read_pair(const JsonRecord& record);
  [[nodiscard]] TextDocument conversation(const nlohmann::ordered_json& messages, const JsonRecord& record,
                                          const nlohmann::ordered_json* prompt = nullptr);
  [[nodiscard]] ChatText lay_out(const nlohmann::ordered_json& messages, const JsonRecord& record, bool for_answer);

  TextFormat format_;
  std::filesystem::path template_place_;
  std::optional<ChatTemplate> template_;
  std::optional<Shape> shape_;
};

}  // namespace qad
