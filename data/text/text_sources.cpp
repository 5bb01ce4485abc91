#include "data/text/text_sources.h"

#include <algorithm>
#include <string_view>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "data/files/compressed_file.h"
#include "data/files/file_kinds.h"
#include "data/files/utf8.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(leading_white_space(text));
  text.remove_suffix(trailing_white_space(text));
  return text;
}

// Calls visit(line, its number from 1) for the lines that are not blank.
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

// Without its byte order mark.
std::string checked_utf8(std::string text, const fs::path& file, std::string_view what) {
  const std::size_t mark = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  text.erase(0, mark);
  if (text.empty()) throw Error({.who = file.string(), .expected = std::string(what), .got = "an empty file"});
  refuse_what_is_no_text(text, file);
  check_utf8(text, file.string(), mark);
  return text;
}

// Up to the last line end, or else to the last whole character.
void end_whole(std::string& text) {
  if (const std::size_t end = text.rfind('\n'); end != std::string::npos) {
    text.resize(end + 1);
    return;
  }
  while (!text.empty() && (text.back() & 0xc0) == 0x80) text.pop_back();
  if (!text.empty() && (text.back() & 0x80) != 0) text.pop_back();
}

// read_utf8 of a text or of its beginning.
std::string read_limited(const fs::path& file, std::string_view what, ReadLimit& limit) {
  std::string text = limit.bytes < kAnySize ? beginning_of(file, limit.bytes) : "";
  limit.was_cut = limit.was_cut || !text.empty();
  if (!text.empty()) end_whole(text);
  text = text.empty() ? read_utf8(file, what) : checked_utf8(std::move(text), file, what);
  if (limit.bytes < kAnySize) limit.bytes -= std::min<std::uint64_t>(limit.bytes, text.size());
  return text;
}

template <class Visit>
void for_each_record(const fs::path& file, ReadLimit& limit, Visit&& visit) {
  const std::string text = read_limited(file, "JSON lines", limit);
  refuse_what_is_no_json_lines(text, file);
  for_each_line(text, [&](std::string_view line, std::int64_t number) {
    visit(JsonRecord(line, file.string() + ':' + std::to_string(number)));
  });
}

void cut(std::string_view text, const TextFormat& format, std::vector<TextDocument>& documents) {
  const std::string& separator = *format.separator;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find(separator, at);
    if (end == std::string::npos && *format.drop_last_document) break;
    std::string_view document = text.substr(at, end == std::string::npos ? end : end - at);
    if (*format.trim) document = trimmed(document);
    if (!document.empty()) documents.push_back({std::string(document), ""});
    if (end == std::string::npos) break;
    at = end + separator.size();
  }
}

}  // namespace

std::string read_utf8(const fs::path& file, std::string_view what) {
  return checked_utf8(read_perhaps_compressed(file, what), file, what);
}

std::vector<TextDocument> read_text(std::span<const fs::path> files, const TextFormat& format, ReadLimit& limit) {
  std::vector<TextDocument> documents;
  for (const fs::path& file : files) {
    if (limit.bytes == 0) break;
    if (is_named_json_lines(file)) log_warning("{} is read as plain text; jsonl reads its records", file.string());
    std::string text = read_limited(file, "a text", limit);
    if (format.separator->empty()) documents.push_back({std::move(text), ""});
    else cut(text, format, documents);
  }
  return documents;
}

std::vector<TextDocument> read_jsonl(std::span<const fs::path> files, const TextFormat& format,
                                     const fs::path& template_folder, ReadLimit& limit) {
  RecordReader reader(format, template_folder);
  std::vector<TextDocument> documents;
  for (const fs::path& file : files) {
    if (limit.bytes == 0) break;
    reader.begin_file();
    for_each_record(file, limit, [&](const JsonRecord& record) {
      TextDocument document = reader.read(record);
      if (!document.text.empty()) documents.push_back(std::move(document));
    });
  }
  return documents;
}

std::vector<TextPrompt> read_prompts(std::span<const fs::path> files, const TextFormat& format,
                                     const fs::path& template_folder) {
  RecordReader reader(format, template_folder);
  std::vector<TextPrompt> prompts;
  ReadLimit all;
  for (const fs::path& file : files) {
    if (is_named_json_lines(file))
      for_each_record(file, all, [&](const JsonRecord& record) { prompts.push_back(reader.read_prompt(record)); });
    else
      for_each_line(read_utf8(file, "a text with one prompt a line"), [&](std::string_view line, std::int64_t) {
        prompts.push_back({std::string(line), false});
      });
  }
  return prompts;
}

}  // namespace qad
