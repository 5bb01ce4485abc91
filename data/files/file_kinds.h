// Files that are no text, told by their first bytes or their name, each with the command that makes a text of it.
#pragma once

#include <filesystem>
#include <string_view>

namespace qad {

/// Throws Error, with that command, for bytes that are Parquet, Arrow, another compression, an archive, UTF-16, ….
void refuse_what_is_no_text(std::string_view bytes, const std::filesystem::path& file);

/// Where JSON lines are wanted: throws for what a name says is a table of another kind (.csv, .tsv) and for one JSON
/// array or a record over several lines.
void refuse_what_is_no_json_lines(std::string_view text, const std::filesystem::path& file);

/// Whether a name, apart from its compression, says JSON lines: .jsonl, .ndjson, .json.
[[nodiscard]] bool is_named_json_lines(const std::filesystem::path& file);
/// The same for what tables are kept in: .csv, .tsv.
[[nodiscard]] bool is_named_table(const std::filesystem::path& file);

}  // namespace qad
