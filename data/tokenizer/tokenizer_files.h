// The names of a tokenizer's files in a model's folder, kept here alone.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad {

/// Names, relative to a folder, and contents.
using NamedFiles = std::vector<std::pair<std::string, std::string>>;

/// The file from which a folder's tokenizer is read: tokenizer.json, else tokenizer.model, vocab.json or tokenizer.bin.
/// Empty if there is none of them.
[[nodiscard]] std::filesystem::path tokenizer_file(const std::filesystem::path& folder);
/// Adds the folder's tokenizer files to those that are there already, which stay as they are: the small files that say
/// of its tokens and chat templates, and the tokenizer in other forms.
void add_tokenizer_files(const std::filesystem::path& folder, NamedFiles& files);
/// The contents of one of them; null where it is not among them.
[[nodiscard]] const std::string* find_file(const NamedFiles& files, std::string_view name);

}  // namespace qad
