#include "data/tokenizer/tokenizer_files.h"

#include <algorithm>
#include <array>

#include "autograd/base/atomic_file.h"
#include "autograd/base/place.h"
#include "data/tokenizer/chat_template_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::array kTokenizers = {kTokenizerJson, kSentencePieceFile, kVocabJson, kLlama2cTokenizer};
constexpr std::array kBeside = {kMergesText, kTokenizerConfig, kSpecialTokensMap, kAddedTokens, kChatTemplateJson};

}  // namespace

fs::path tokenizer_file(const fs::path& folder) {
  for (const char* name : kTokenizers)
    if (place_at(folder / name) != Place::nothing) return folder / name;  // what is no file is refused by its reader
  return {};
}

void add_tokenizer_files(const fs::path& folder, NamedFiles& files) {
  const auto add = [&](const std::string& name) {
    if (find_file(files, name) == nullptr && fs::is_regular_file(folder / name))
      files.emplace_back(name, read_file(folder / name, "a tokenizer's file"));
  };
  std::ranges::for_each(kTokenizers, add);
  std::ranges::for_each(kBeside, add);
  std::ranges::for_each(chat_template_files(folder), add);
}

const std::string* find_file(const NamedFiles& files, std::string_view name) {
  const auto found = std::ranges::find(files, name, &NamedFiles::value_type::first);
  return found == files.end() ? nullptr : &found->second;
}

}  // namespace qad
