#include "qad/layouts/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "autograd/base/warn_once.h"
#include "data/files/json_file.h"
#include "data/files/utf8.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/chat_template_files.h"

namespace qad {
namespace {

using Json = nlohmann::json;

constexpr const char* kOtherLayoutHint = "llama.cpp can't do what this tokenizer does; export in another layout";
constexpr std::string_view kMark = "\u2581";  // stands for a space in vocabularies of SentencePiece's kind

// llama.cpp's kinds of tokens.
enum class TokenKind : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

[[noreturn]] void refuse(const std::string& expected, const std::string& got) {
  throw Error({.who = "tokenizer.json as GGUF", .expected = expected, .got = got, .hint = kOtherLayoutHint});
}

// A step that may be a Sequence of steps under `parts`; null is no step.
std::vector<Json> steps_of(const Json& root, const char* stage, const char* parts) {
  const Json step = root.value(stage, Json());
  if (step.is_null()) return {};
  if (step.at("type") != "Sequence") return {step};
  std::vector<Json> steps;
  for (const Json& part : step.at(parts)) steps.push_back(part);
  return steps;
}

const std::string* file_of(const Tokenizer& tokenizer, std::string_view name) {
  for (const auto& [file, contents] : tokenizer.files())
    if (file == name) return &contents;
  return nullptr;
}

// Two tokens each; files had them as "left right" until 2024.
std::vector<std::pair<std::string, std::string>> merges_of(const Json& model) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const Json& merge : model.at("merges")) {
    if (merge.is_array()) {
      merges.emplace_back(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
      continue;
    }
    const std::string& line = merge.get_ref<const std::string&>();
    const std::size_t space = line.find(' ');
    if (!line.starts_with("#version")) merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

// A pre-tokenizer in one line: its steps with what llama.cpp's regular expressions make of them.
std::string described(const std::vector<Json>& steps) {
  std::string text;
  for (const Json& step : steps) {
    const std::string type = step.at("type");
    text += text.empty() ? "" : ", ";
    if (type == "ByteLevel") {
      text += step.value("add_prefix_space", true) ? "ByteLevel with a space before the text"
              : step.value("use_regex", true)      ? "GPT-2 words"
                                                   : "bytes";
    } else if (type == "Digits") {
      text += step.value("individual_digits", false) ? "digits" : "numbers";
    } else if (type == "Split" && step.at("pattern").contains("Regex")) {
      const bool isolated = step.at("behavior") == "Isolated" && !step.value("invert", false);
      const bool kept = step.at("behavior") == "Removed" && step.value("invert", false);
      text += (isolated || kept ? "split " : "other split ") + step.at("pattern").at("Regex").get<std::string>();
    } else {
      text += type;
    }
  }
  return text;
}

struct PreTokenizer {
  std::string_view steps;  // as described() says them
  std::string_view name;   // llama.cpp's
  bool whole_words;        // a word that is a token is not merged at all ("ignore_merges")
};
#define QAD_WORDS_BEFORE_DIGITS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
#define QAD_WORDS_AFTER_DIGITS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr auto kPreTokenizers = std::to_array<PreTokenizer>({
    {"GPT-2 words", "gpt-2", false},
    {"digits, GPT-2 words", "smollm", false},
    {"split " QAD_WORDS_BEFORE_DIGITS "{1,3}" QAD_WORDS_AFTER_DIGITS ", bytes", "llama-bpe", true},
    {"split " QAD_WORDS_BEFORE_DIGITS QAD_WORDS_AFTER_DIGITS ", bytes", "qwen2", false},
    {"split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
     "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+, bytes",
     "qwen35", false},
});
#undef QAD_WORDS_BEFORE_DIGITS
#undef QAD_WORDS_AFTER_DIGITS

// Whether merging makes each token of its own text, so that nobody sees whether words that are tokens are merged.
bool merges_make_every_token(Json root, const Tokenizer& tokenizer) {
  root["model"]["ignore_merges"] = false;
  const BpeModel model = parse_tokenizer_json(root.dump(), "tokenizer.json").model;
  std::vector<std::int32_t> ids;
  return std::ranges::all_of(model.vocabulary(), [&](const auto& entry) {
    ids.clear();
    model.encode(entry.first, ids);
    const auto token = tokenizer.token(entry.second);
    return (token && token->added != nullptr) || ids == std::vector{entry.second};
  });
}

void add_byte_level(const Json& root, const Tokenizer& tokenizer, GgufMetadata& metadata) {
  for (const Json& step : steps_of(root, "normalizer", "normalizers"))
    if (step.at("type") != "NFC") refuse("no normalizer but NFC", step.at("type").get<std::string>());
  std::vector<std::string> merges;
  for (const auto& [left, right] : merges_of(root.at("model"))) merges.push_back(left + " " + right);
  std::string steps = described(steps_of(root, "pre_tokenizer", "pretokenizers"));
  if (merges.empty() && steps.ends_with("bytes")) steps = "GPT-2 words";  // where nothing merges, cuts change nothing
  const auto found = std::ranges::find(kPreTokenizers, steps, &PreTokenizer::steps);
  if (found == kPreTokenizers.end())
    refuse("the pre-tokenizer of GPT-2, SmolLM, Llama 3 or Qwen 2/3", steps.empty() ? "none" : steps);
  if (root.at("model").value("ignore_merges", false) != found->whole_words && !merges_make_every_token(root, tokenizer))
    refuse("ignore_merges " + std::string(found->whole_words ? "true" : "false") + " with this pre-tokenizer",
           "the other and tokens that merging doesn't make");
  metadata.emplace_back("tokenizer.ggml.model", std::string("gpt2"));
  metadata.emplace_back("tokenizer.ggml.pre", std::string(found->name));
  metadata.emplace_back("tokenizer.ggml.merges", merges);
}

// llama2.c's vocabularies have spaces where SentencePiece's kind has marks; a space goes before the text.
bool keeps_spaces(const Json& root) {
  const std::vector<Json> normalizers = steps_of(root, "normalizer", "normalizers");
  return normalizers.size() == 1 && normalizers[0] == Json{{"type", "Prepend"}, {"prepend", " "}} &&
         steps_of(root, "pre_tokenizer", "pretokenizers").empty();
}

std::string with_marks(std::string token) {
  for (std::size_t at = 0; (at = token.find(' ', at)) != std::string::npos; at += kMark.size())
    token.replace(at, 1, kMark);
  return token;
}

// Whether a space goes before the text; refuses stages that are not SentencePiece's.
bool space_before_text(const Json& root, const std::vector<std::string>& tokens) {
  const std::string mark(kMark);
  bool prepend = false, replace = false;
  if (keeps_spaces(root)) return true;
  for (const Json& step : steps_of(root, "normalizer", "normalizers")) {
    if (step.at("type") == "Prepend" && step.at("prepend") == mark) prepend = true;
    else if (step == Json{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}}) replace = true;
    else refuse("spaces that become \u2581 as the only normalizer", step.dump());
  }
  const std::vector<Json> pre = steps_of(root, "pre_tokenizer", "pretokenizers");
  if (replace && pre.empty()) return prepend;
  if (replace || pre.size() != 1 || pre[0].at("type") != "Metaspace" || pre[0].at("replacement") != mark)
    refuse("byte-level BPE, or spaces that become \u2581", pre.empty() ? "neither" : described(pre));
  // llama.cpp doesn't cut at spaces; that is no difference if no token goes on beyond one.
  if (pre[0].value("split", true) &&
      std::ranges::any_of(tokens, [](const std::string& token) { return token.rfind(kMark) + 1 > 1; }))
    refuse("no tokens with \u2581 inside, or Metaspace with split: false", "tokens across words");
  const std::string scheme = pre[0].value("prepend_scheme", "always");
  if (scheme == "first")
    warn_once(
        "tokenizer.json as GGUF: a space goes before the first word alone, in llama.cpp also after each special token; "
        "it gives other ids to what follows one");
  return scheme != "never";
}

void add_sentence_piece(const Json& root, std::vector<std::string>& tokens, GgufMetadata& metadata) {
  if (root.at("model").value("ignore_merges", false)) refuse("ignore_merges false", "true");
  const bool space = space_before_text(root, tokens);
  if (keeps_spaces(root)) {
    for (std::string& token : tokens) {
      if (token.find(kMark) != std::string::npos) refuse("a vocabulary with spaces or marks for them", "one with both");
      token = with_marks(std::move(token));
    }
  }
  // A token that is merged earlier has the higher score; one that nothing merges is merged last.
  std::map<std::string, float> scores;
  for (const auto& [left, right] : merges_of(root.at("model"))) {
    const std::string whole = keeps_spaces(root) ? with_marks(left + right) : left + right;
    scores.try_emplace(whole, -static_cast<float>(scores.size()) - 1.0f);
  }
  std::vector<float> all;
  for (const std::string& token : tokens) {
    const auto found = scores.find(token);
    all.push_back(found != scores.end() ? found->second : -1e6f);
  }
  metadata.emplace_back("tokenizer.ggml.model", std::string("llama"));
  metadata.emplace_back("tokenizer.ggml.pre", std::string("default"));
  metadata.emplace_back("tokenizer.ggml.scores", all);
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", space);
}

bool names_byte(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with(">");
}

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> kinds;
};

// A token that also starts or ends texts is a control token.
bool is_unknown(const Tokenizer& tokenizer, std::int32_t id) {
  return tokenizer.unk() == id && tokenizer.bos() != id && tokenizer.eos() != id;
}

// Ids without a token get a name that no text has. Tokens beyond the model's vocabulary, which only files beside the
// tokenizer name, are left out: the model could not read them.
Vocabulary vocabulary_of(const Json& root, const Tokenizer& tokenizer, std::int64_t size) {
  check_vocabulary(tokenizer, size, "tokenizer.json");
  Vocabulary result;
  const bool bytes = root.at("model").value("byte_fallback", false);
  for (std::int32_t id = 0; id < size; ++id) {
    const std::optional<TokenInfo> token = tokenizer.token(id);
    if (token && token->added != nullptr)
      for (const auto& [flag, is_set] :
           {std::pair{"single_word", token->added->single_word}, std::pair{"lstrip", token->added->lstrip},
            std::pair{"rstrip", token->added->rstrip}})
        if (is_set) refuse("added tokens without " + std::string(flag), in_quotes(token->text));
    const TokenKind kind = !token                      ? TokenKind::unused
                           : is_unknown(tokenizer, id) ? TokenKind::unknown
                           : token->added == nullptr
                               ? (bytes && names_byte(token->text) ? TokenKind::byte : TokenKind::normal)
                           : token->special ? TokenKind::control
                                            : TokenKind::user_defined;
    result.tokens.push_back(token ? std::string(token->text) : "[PAD" + std::to_string(id) + "]");
    result.kinds.push_back(static_cast<std::int32_t>(kind));
  }
  return result;
}

// What goes around a text, and what ends one.
void add_special_tokens(const Tokenizer& tokenizer, const ModelConfig& config, GgufMetadata& metadata) {
  const auto add_id = [&](const char* key, std::int64_t id) {
    metadata.emplace_back(key, static_cast<std::uint32_t>(id));
  };
  const auto known = [&](std::optional<std::int32_t> id, std::int64_t otherwise) {
    return id && *id < config.vocab_size ? std::int64_t{*id} : otherwise;
  };
  std::vector<std::int64_t> ends = config.eos_token_id;
  std::erase_if(ends, [&](std::int64_t id) { return id >= config.vocab_size; });  // it never comes
  const std::int64_t bos = known(tokenizer.bos(), config.bos_token_id);
  const std::int64_t eos = known(tokenizer.eos(), ends.empty() ? -1 : ends.front());
  const auto is_only = [](std::span<const std::int32_t> around, std::int64_t id) {
    return around.empty() || (around.size() == 1 && around[0] == id);
  };
  if (!is_only(tokenizer.prefix(), bos) || !is_only(tokenizer.suffix(), eos))
    refuse("the start token before a text and the end token after it, or nothing", "other tokens around a text");
  if (eos < 0) refuse("an end token", "none");  // llama.cpp would take one of its own
  if (bos >= 0) add_id("tokenizer.ggml.bos_token_id", bos);
  add_id("tokenizer.ggml.eos_token_id", eos);
  std::erase(ends, eos);
  // Further tokens that end an answer; more than two llama.cpp would have to know by their text.
  constexpr std::array<const char*, 2> kFurther = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  if (ends.size() > kFurther.size()) refuse("at most 3 tokens that end a text", std::to_string(ends.size() + 1));
  for (std::size_t i = 0; i < ends.size(); ++i) add_id(kFurther[i], ends[i]);
  if (tokenizer.unk()) add_id("tokenizer.ggml.unknown_token_id", *tokenizer.unk());
  if (const std::int64_t pad = known(tokenizer.pad(), -1); pad >= 0) add_id("tokenizer.ggml.padding_token_id", pad);
  metadata.emplace_back("tokenizer.ggml.add_bos_token", !tokenizer.prefix().empty());
  metadata.emplace_back("tokenizer.ggml.add_eos_token", !tokenizer.suffix().empty());
}

// The default one under a key of its own, others under their names, in which GGUF has letters and digits only.
void add_chat_templates(const Tokenizer& tokenizer, GgufMetadata& metadata) {
  const std::string key = "tokenizer.chat_template";
  std::vector<std::string> names;
  for (const NamedTemplate& one : chat_templates_of(tokenizer.files(), tokenizer.folder())) {
    if (one.name == "default") {
      metadata.emplace_back(key, one.source);
      continue;
    }
    std::string name = one.name;
    std::ranges::replace_if(
        name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    if (name.empty() || std::ranges::find(names, name) != names.end()) continue;
    metadata.emplace_back(key + "." + name, one.source);
    names.push_back(name);
  }
  if (!names.empty()) metadata.emplace_back("tokenizer.chat_templates", names);
}

}  // namespace

GgufMetadata gguf_tokenizer(const Tokenizer* tokenizer, const ModelConfig& config) {
  if (tokenizer == nullptr) return {{"tokenizer.ggml.model", std::string("no_vocab")}};
  const std::string* const file = file_of(*tokenizer, "tokenizer.json");
  if (file == nullptr) refuse("a tokenizer.json", tokenizer->files().empty() ? "no file" : tokenizer->files()[0].first);
  const Json root = parse_json(*file, "tokenizer.json");
  try {
    GgufMetadata metadata;
    Vocabulary vocabulary = vocabulary_of(root, *tokenizer, config.vocab_size);
    const std::vector<Json> pre = steps_of(root, "pre_tokenizer", "pretokenizers");
    if (std::ranges::any_of(pre, [](const Json& step) { return step.at("type") == "ByteLevel"; }))
      add_byte_level(root, *tokenizer, metadata);
    else add_sentence_piece(root, vocabulary.tokens, metadata);
    metadata.emplace_back("tokenizer.ggml.tokens", std::move(vocabulary.tokens));
    metadata.emplace_back("tokenizer.ggml.token_type", std::move(vocabulary.kinds));
    add_special_tokens(*tokenizer, config, metadata);
    add_chat_templates(*tokenizer, metadata);
    return metadata;
  } catch (const Json::exception& e) {
    throw Error(
        {.who = "tokenizer.json", .expected = "the layout of a Hugging Face tokenizer.json", .got = json_reason(e)});
  }
}

}  // namespace qad
