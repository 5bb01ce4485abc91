// A tokenizer's files in a model's folder: the one list of their names.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad {

/// What a tokenizer is read from, one of these by itself ...
inline constexpr const char* kTokenizerJson = "tokenizer.json";  ///< Hugging Face's
inline constexpr const char* kSentencePieceFile = "tokenizer.model";
inline constexpr const char* kVocabJson = "vocab.json";  ///< GPT-2's, with merges.txt
inline constexpr const char* kMergesText = "merges.txt";
inline constexpr const char* kLlama2cTokenizer = "tokenizer.bin";
/// ... and the small files beside it.
inline constexpr const char* kTokenizerConfig = "tokenizer_config.json";
inline constexpr const char* kSpecialTokensMap = "special_tokens_map.json";
inline constexpr const char* kAddedTokens = "added_tokens.json";
inline constexpr const char* kChatTemplate = "chat_template.jinja";
inline constexpr const char* kChatTemplateJson = "chat_template.json";           ///< of processors; goes along unread
inline constexpr const char* kChatTemplateFolder = "additional_chat_templates";  ///< of NAME.jinja

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
