#include "data/tokenizer/tokenizer_files.h"

#include <algorithm>
#include <array>

#include "autograd/base/atomic_file.h"
#include "autograd/base/place.h"
#include "data/tokenizer/chat_template_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 4> kTokenizers = {"tokenizer.json", "tokenizer.model", "vocab.json",
                                                         "tokenizer.bin"};
constexpr std::array<std::string_view, 5> kBeside = {"merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                                                     "added_tokens.json", "chat_template.json"};

}  // namespace

fs::path tokenizer_file(const fs::path& folder) {
  for (const std::string_view name : kTokenizers)
    if (place_at(folder / name) != Place::nothing) return folder / name;  // what is no file is refused by its reader
  return {};
}

void add_tokenizer_files(const fs::path& folder, NamedFiles& files) {
  const auto add = [&](const std::string& name) {
    if (find_file(files, name) == nullptr && fs::is_regular_file(folder / name))
      files.emplace_back(name, read_file(folder / name, "a tokenizer's file"));
  };
  for (const std::string_view name : kTokenizers) add(std::string(name));
  for (const std::string_view name : kBeside) add(std::string(name));
  std::ranges::for_each(chat_template_files(folder), add);
}

const std::string* find_file(const NamedFiles& files, std::string_view name) {
  const auto found = std::ranges::find(files, name, &NamedFiles::value_type::first);
  return found == files.end() ? nullptr : &found->second;
}

}  // namespace qad
