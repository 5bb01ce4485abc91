// Where chat templates lie: chat_template.jinja and additional_chat_templates/NAME.jinja in a tokenizer's folder, else
// chat_template in its tokenizer_config.json, which may be a list of templates with names.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace qad {

struct NamedTemplate {
  std::string name;  ///< "default", unless it has a name
  std::string who;   ///< the file, for messages
  std::string source;
};

[[nodiscard]] bool has_chat_template(const std::filesystem::path& folder);
/// Of a folder, or of a tokenizer_config.json. Throws Error if there is none.
[[nodiscard]] std::vector<NamedTemplate> read_chat_templates(const std::filesystem::path& place);
/// Of names and contents of a folder's files; empty if there is none. Throws Error for a chat_template in
/// tokenizer_config.json that is neither text nor a list of templates.
[[nodiscard]] std::vector<NamedTemplate> chat_templates_of(std::span<const std::pair<std::string, std::string>> files,
                                                           const std::filesystem::path& folder);

/// The folder's files that are templates, relative to it: what goes along where its tokenizer goes.
[[nodiscard]] std::vector<std::string> chat_template_files(const std::filesystem::path& folder);

}  // namespace qad
