// Files of text to documents, before any tokenizer: plain text with a separator, JSON lines, and prompts. Files come as
// a recipe names them (source_files.h), compressed or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/text/data_config.h"
#include "data/text/record_reader.h"
#include "data/text/text_document.h"

namespace qad {

/// How much text is still wanted, for those who need to know only how it begins: whole lines of it.
struct ReadLimit {
  std::uint64_t bytes = UINT64_MAX;
  bool was_cut = false;
};

/// Documents of plain text files between `format.separator`s; empty ones are left out. Throws Error for a file that is
/// missing, empty, not UTF-8 or of a kind that is no text. A byte order mark at a file's start is not part of it.
[[nodiscard]] std::vector<TextDocument> read_text(std::span<const std::filesystem::path> files,
                                                  const TextFormat& format, ReadLimit& limit);

/// Documents of files with one JSON object a line (record_reader.h); conversations as `format.chat_template` or the one
/// in `template_folder` lays them out. Blank lines are left out. Throws Error naming file and line.
[[nodiscard]] std::vector<TextDocument> read_jsonl(std::span<const std::filesystem::path> files,
                                                   const TextFormat& format,
                                                   const std::filesystem::path& template_folder, ReadLimit& limit);

/// Prompts for the teacher: the lines of text files, without their ends and without blank ones, and the records of
/// JSON lines (.jsonl). Throws Error naming file and line.
[[nodiscard]] std::vector<TextPrompt> read_prompts(std::span<const std::filesystem::path> files,
                                                   const TextFormat& format,
                                                   const std::filesystem::path& template_folder);

/// A file's whole text. `what` says what it should be. Throws Error as read_text does.
[[nodiscard]] std::string read_utf8(const std::filesystem::path& file, std::string_view what);

}  // namespace qad
