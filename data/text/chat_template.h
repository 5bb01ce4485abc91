// Conversations as a model was taught to read them: laid out by the template that comes with its tokenizer, written in
// the part of Jinja that data/jinja knows and rendered as transformers does (apply_chat_template).
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/text_document.h"
#include "data/tokenizer/chat_template_files.h"

namespace qad {

struct ChatText {
  std::string text;
  /// What the assistant writes, in order: its turns, without the header that a prompt for it already has. If the
  /// template marks turns with {% generation %}, what stands in these, else what it prints at each of its messages.
  std::vector<TextSpan> assistant{};
};

namespace detail {
struct Conversation;
}

class ChatTemplate {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  /// `who` stands in messages, with a line. `variables` are the special tokens, such as bos_token; `date` (YYYY-MM-DD)
  /// is what strftime_now tells. Throws Error for what is not Jinja or not in our part of it.
  ChatTemplate(std::string_view source, std::string who, Variables variables, std::string date);
  /// Of several the one named tool_use lays out conversations with tools, the one named default others.
  ChatTemplate(const std::vector<NamedTemplate>& templates, const Variables& variables, const std::string& date);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// `record` is JSON: an object with `messages`, a list of objects with a `role`, and perhaps `tools`. As in
  /// transformers, what is null in a message is as if it were not there, and reasoning goes by all its names. With
  /// `add_generation_prompt` the text ends where the assistant begins. Throws Error for other records, for what the
  /// template refuses, and if it prints nothing.
  [[nodiscard]] ChatText lay_out_json(std::string_view record, bool add_generation_prompt = false) const;
  [[nodiscard]] ChatText lay_out(const nlohmann::ordered_json& record, bool add_generation_prompt = false) const;

 private:
  struct Parsed;
  struct Choice;
  [[nodiscard]] ChatText laid_out(const detail::Conversation& conversation, bool add_generation_prompt) const;
  std::unique_ptr<const Choice> choice_;
};

/// The templates of a tokenizer's folder, or one in a file of its own, with the special tokens that the files beside it
/// name.
[[nodiscard]] ChatTemplate load_chat_template(const std::filesystem::path& place, const std::string& date);

}  // namespace qad
