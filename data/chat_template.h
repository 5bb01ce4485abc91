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

#include "data/text_document.h"

namespace qad {

struct ChatText {
  std::string text;
  /// What the assistant writes, in order: its turns, without the header that a prompt for it already has. If the
  /// template marks turns with {% generation %}, what stands in these, else what it prints at each of its messages.
  std::vector<TextSpan> assistant{};
};

class ChatTemplate {
 public:
  /// `who` stands in messages, with a line. `variables` are the special tokens, such as bos_token; `date` (YYYY-MM-DD)
  /// is what strftime_now tells. Throws Error for what is not Jinja or not in our part of it.
  ChatTemplate(std::string_view source, std::string who, std::vector<std::pair<std::string, std::string>> variables,
               std::string date);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// `record` is an object with `messages`, a list of objects with a `role`, and perhaps `tools`. With
  /// `add_generation_prompt` the text ends where the assistant begins. Throws Error for other records, and for what
  /// the template refuses.
  [[nodiscard]] ChatText lay_out(const nlohmann::ordered_json& record, bool add_generation_prompt = false) const;

 private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed_;
};

[[nodiscard]] bool has_chat_template(const std::filesystem::path& folder);

/// The template of a tokenizer's folder (chat_template.jinja, else chat_template in tokenizer_config.json), or in a
/// file of its own, with the special tokens that the files beside it name.
[[nodiscard]] ChatTemplate load_chat_template(const std::filesystem::path& place, const std::string& date);

}  // namespace qad
