// Files of text to documents, before any tokenizer: plain text with a separator, and JSON lines.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/data_config.h"
#include "data/text_document.h"

namespace qad {

/// Documents of a plain text file between `config.separator`s; empty ones are left out. Throws Error for a file that is
/// missing, empty or not UTF-8.
[[nodiscard]] std::vector<TextDocument> read_text(const std::filesystem::path& file, const SourceConfig& config);

/// Documents of a file with one JSON object a line: `config.field`, and `config.prompt_field` if set; where there is no
/// such field but `messages`, the conversation as `config.chat_template` or the one in `template_folder` lays it out.
/// Blank lines are left out. Throws Error naming file and line.
[[nodiscard]] std::vector<TextDocument> read_jsonl(const std::filesystem::path& file, const SourceConfig& config,
                                                   const std::filesystem::path& template_folder);

/// The lines of a UTF-8 file, without their ends and without blank ones: prompts for the teacher.
[[nodiscard]] std::vector<std::string> read_lines(const std::filesystem::path& file);

/// The conversations of a JSON lines file, laid out up to where the assistant begins, by the template in
/// `template_folder` and as on SourceConfig's day. Throws Error naming file and line.
[[nodiscard]] std::vector<std::string> read_conversations(const std::filesystem::path& file,
                                                          const std::filesystem::path& template_folder);

}  // namespace qad
