#include "data/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/warn_once.h"
#include "data/files/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/sentencepiece_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"

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
  if (name.ends_with(kVocabJson)) {
    const std::string merges = name.substr(0, name.size() - std::string_view(kVocabJson).size()) + kMergesText;
    return read_gpt2_pair(file, file.parent_path() / merges);
  }
  if (file.extension() == ".json") return read_tokenizer_json(file);
  throw Error({.who = file.string(), .expected = std::string(kKnownForms), .got = "a file of another kind"});
}

fs::path file_in(const fs::path& folder) {
  if (const fs::path file = tokenizer_file(folder); !file.empty()) return file;
  throw Error({.who = folder.string(),
               .expected = "a folder with " + std::string(kKnownForms),
               .got = "none of these files",
               .hint = "name another with data.tokenizer"});
}

std::string name_of(const std::optional<TokenInfo>& token) { return token ? in_quotes(token->text) : "no token"; }

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  if (path == "bytes") return make_byte_tokenizer();
  if (!fs::exists(path))
    throw Error({.who = path.string(), .expected = std::string(kKnownForms), .got = "no such file or folder"},
                ExitCode::usage);
  const fs::path file = fs::is_directory(path) ? file_in(path) : path;
  std::unique_ptr<Tokenizer> tokenizer = load_file(file);
  tokenizer->folder_ = file.has_parent_path() ? file.parent_path() : fs::path(".");
  return tokenizer;
}

bool has_tokenizer(const fs::path& folder) { return !folder.empty() && !tokenizer_file(folder).empty(); }

std::vector<std::int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt) {
  std::vector<std::int32_t> ids(tokenizer.prefix().begin(), tokenizer.prefix().end());
  const std::vector<std::int32_t> text = tokenizer.encode(prompt, false);
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

void check_vocabulary(const Tokenizer& tokenizer, std::int64_t model_vocabulary, std::string_view who) {
  if (tokenizer.own_vocabulary_size() > model_vocabulary)
    throw Error({.who = std::string(who),
                 .expected = "a tokenizer within the model's vocabulary of " + std::to_string(model_vocabulary),
                 .got = std::to_string(tokenizer.own_vocabulary_size()) + " tokens",
                 .hint = "does the tokenizer belong to the model?"});
  for (std::int64_t id = model_vocabulary; id < tokenizer.vocabulary_size(); ++id)
    if (const auto token = tokenizer.token(static_cast<std::int32_t>(id)))
      return warn_once(
          fmt::format("{}: the token {} that stands beside the tokenizer has id {}, beyond the model's "
                      "vocabulary of {}; a text that has it is refused",
                      who, name_of(token), id, model_vocabulary));
}

void check_same_tokens(const Tokenizer& expected, std::string_view whose, const Tokenizer& got, std::string_view who,
                       std::int64_t model_vocabulary) {
  const std::int64_t size = std::max(expected.vocabulary_size(), got.vocabulary_size());
  for (std::int32_t id = 0; id < std::min(size, model_vocabulary); ++id) {
    const auto wanted = expected.token(id), found = got.token(id);
    if (wanted.has_value() == found.has_value() && (!found || wanted->text == found->text)) continue;
    if ((!wanted && got.pad() == id) || (!found && expected.pad() == id)) continue;
    throw Error({.who = std::string(who),
                 .expected = fmt::format("the tokens of {}, whose id {} is {}", whose, id, name_of(wanted)),
                 .got = name_of(found),
                 .hint = "models that learn from or are compared with each other need one vocabulary"});
  }
  constexpr std::string_view kProbe = "The Quick e\u0301\u00e9 Fox, 1234\n\n  jumps_over\tit's 3.5!";
  if (expected.encode(kProbe, false) != got.encode(kProbe, false))
    log_warning("{} has the tokens of {} but cuts a text otherwise: text is read as the latter reads it", who, whose);
}

}  // namespace qad
