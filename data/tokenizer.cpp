#include "data/tokenizer.h"

#include "autograd/core/error.h"
#include "data/bpe_tokenizer.h"
#include "data/sentencepiece_tokenizer.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kKnownForms =
    "a tokenizer.json, a tokenizer.model of SentencePiece, a vocab.json with a merges.txt, a tokenizer.bin of "
    "llama2.c, "
    "or the word bytes";

std::unique_ptr<Tokenizer> load_file(const fs::path& file) {
  const std::string name = file.filename().string();
  if (file.extension() == ".bin") return read_llama2c(file);
  if (file.extension() == ".model") return read_sentencepiece(file);
  if (name.ends_with("vocab.json")) {
    const std::string merges = name.substr(0, name.size() - std::string_view("vocab.json").size()) + "merges.txt";
    return read_gpt2_pair(file, file.parent_path() / merges);
  }
  if (file.extension() == ".json") return read_tokenizer_json(file);
  throw Error({file.string(), std::string(kKnownForms), "a file of another kind", ""});
}

fs::path tokenizer_file(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer.bin"})
    if (fs::exists(folder / name)) return folder / name;
  throw Error({folder.string(), "a folder with " + std::string(kKnownForms), "none of these files",
               "name another with data.tokenizer"});
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  if (path == "bytes") return make_byte_tokenizer();
  if (!fs::exists(path)) throw Error({path.string(), std::string(kKnownForms), "no such file or folder", ""});
  const fs::path file = fs::is_directory(path) ? tokenizer_file(path) : path;
  std::unique_ptr<Tokenizer> tokenizer = load_file(file);
  tokenizer->folder_ = file.has_parent_path() ? file.parent_path() : fs::path(".");
  return tokenizer;
}

std::vector<std::int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt) {
  std::vector<std::int32_t> ids(tokenizer.prefix().begin(), tokenizer.prefix().end());
  const std::vector<std::int32_t> text = tokenizer.encode(prompt, false);
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

void check_vocabulary(const Tokenizer& tokenizer, std::int64_t model_vocabulary, std::string_view who) {
  if (tokenizer.vocabulary_size() <= model_vocabulary) return;
  throw Error({std::string(who), "a tokenizer within the model's vocabulary of " + std::to_string(model_vocabulary),
               std::to_string(tokenizer.vocabulary_size()) + " tokens", "does the tokenizer belong to the model?"});
}

}  // namespace qad
