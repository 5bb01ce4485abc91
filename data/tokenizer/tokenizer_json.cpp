// Reads Hugging Face's tokenizer.json and the small files beside it. What is not understood is refused by name, so that
// ids are either those of Hugging Face's `tokenizers` or an error.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/warn_once.h"
#include "data/files/json_file.h"
#include "data/files/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/tokenizer/tokens_beside.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
constexpr std::size_t kMostSteps = 256;  // of a stage: each goes through the whole text

// Reads one tokenizer.json; `who_` is its name in messages.
class Reader {
 public:
  explicit Reader(std::string who) : who_(std::move(who)) {}

  [[nodiscard]] BpeTokenizerParts read(const Json& root) const {
    BpeTokenizerParts parts(model(root.at("model")));
    parts.who = who_;
    std::vector<AddedToken> added;
    for (auto& [id, token] : added_tokens(root)) added.push_back(std::move(token));
    parts.add(added);
    if (const Json* step = present(root, "normalizer")) add_normalizer(*step, parts.normalizer);
    if (const Json* step = present(root, "pre_tokenizer")) add_pre_tokenizer(*step, parts.pre_tokenizer);
    if (const Json* step = present(root, "decoder")) add_decoder(*step, parts.decoder);
    else parts.decoder.push_back(join_with_spaces_decoder());
    if (const Json* step = present(root, "post_processor")) add_template(*step, parts);
    check_steps("normalizer", parts.normalizer.size());
    check_steps("pre_tokenizer", parts.pre_tokenizer.size());
    check_steps("decoder", parts.decoder.size());
    return parts;
  }

  // With the ids that the file gives them, which need not be those that they get.
  [[nodiscard]] std::vector<std::pair<std::int64_t, AddedToken>> added_tokens(const Json& root) const {
    std::vector<std::pair<std::int64_t, AddedToken>> tokens;
    if (const Json* list = present(root, "added_tokens"))
      for (const Json& token : *list) tokens.emplace_back(number(token.at("id")), added_token(token));
    return tokens;
  }

 private:
  void check_steps(const char* stage, std::size_t steps) const {
    if (steps > kMostSteps)
      throw Error({.who = who_,
                   .expected = fmt::format("a {} of at most {} steps", stage, kMostSteps),
                   .got = std::to_string(steps)});
  }

  // The value of a key that is there and not null.
  static const Json* present(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  static std::string type_of(const Json& step) { return step.at("type").get<std::string>(); }

  [[noreturn]] void refuse(std::string_view stage, const std::string& type, std::string_view supported) const {
    throw Error({.who = who_,
                 .expected = fmt::format("a {} among {}", stage, supported),
                 .got = type,
                 .hint = "tokenize with the original tokenizer and give the ids as HDF5 (data.train.token_file)"});
  }

  // An id or a count. The JSON library would turn 1e300 into an integer unasked.
  [[nodiscard]] std::int32_t number(const Json& value) const {
    if (const std::int64_t result = value.is_number_integer() ? value.get<std::int64_t>() : -1;
        result >= 0 && result < kMostTokens)
      return static_cast<std::int32_t>(result);
    throw Error({.who = who_, .expected = fmt::format("numbers from 0 to {}", kMostTokens - 1), .got = value.dump()});
  }

  [[nodiscard]] BpeModel model(const Json& json) const {
    // Older files leave the type out; a BPE has merges.
    const std::string type = json.value("type", json.contains("merges") ? "BPE" : "unknown type");
    if (type != "BPE") refuse("model", type, "BPE");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const Json* affix = present(json, key); affix != nullptr && !affix->get<std::string>().empty())
        refuse("model", fmt::format("BPE with {}", key), "BPE without word affixes");
    if (const Json* dropout = present(json, "dropout"); dropout != nullptr && dropout->get<double>() != 0)
      refuse("model", "BPE with dropout", "BPE without dropout");

    BpeOptions options;
    if (const Json* unk = present(json, "unk_token")) options.unk_token = unk->get<std::string>();
    options.fuse_unk = json.value("fuse_unk", false);
    options.byte_fallback = json.value("byte_fallback", false);
    options.ignore_merges = json.value("ignore_merges", false);
    BpeModel::Vocabulary vocabulary;
    const Json& entries = json.at("vocab");
    if (!entries.is_object())
      throw Error({.who = who_, .expected = "a vocabulary with ids by token", .got = entries.type_name()});
    vocabulary.reserve(entries.size());
    std::vector<bool> taken;
    for (const auto& [token, value] : entries.items()) {
      const auto id = static_cast<std::size_t>(vocabulary.emplace(token, number(value)).first->second);
      if (id >= taken.size()) taken.resize(std::max(id + 1, 2 * taken.size()));
      if (taken[id])
        throw Error(
            {.who = who_, .expected = "a vocabulary that gives an id once", .got = fmt::format("{} twice", id)});
      taken[id] = true;
    }
    BpeModel bpe(std::move(vocabulary), std::move(options), who_);

    std::int32_t rank = 0;
    for (const Json& merge : json.at("merges")) {
      if (merge.is_array() && merge.size() == 2) {
        bpe.add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), rank++);
        continue;
      }
      const std::string& line = merge.get_ref<const std::string&>();
      if (line.starts_with("#version")) continue;
      const std::size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
        throw Error({.who = who_, .expected = "merges of two tokens with a space between", .got = in_quotes(line)});
      bpe.add_merge(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1), rank++);
    }
    return bpe;
  }

  [[nodiscard]] AddedToken added_token(const Json& json) const {
    AddedToken token;
    token.content = json.at("content").get<std::string>();
    token.special = json.value("special", false);
    token.single_word = json.value("single_word", false);
    token.lstrip = json.value("lstrip", false);
    token.rstrip = json.value("rstrip", false);
    token.normalized = json.value("normalized", !token.special);
    return token;
  }

  [[nodiscard]] Pattern pattern(const Json& json) const {
    if (const Json* regex = present(json, "Regex")) return Regex(regex->get<std::string>(), who_);
    return json.at("String").get<std::string>();
  }

  void add_normalizer(const Json& json, std::vector<NormalizerStep>& steps) const {
    const std::string type = type_of(json);
    if (type == "Sequence")
      for (const Json& part : json.at("normalizers")) add_normalizer(part, steps);
    else if (type == "NFC") steps.push_back(nfc_step());
    else if (type == "Prepend") steps.push_back(prepend_step(json.at("prepend")));
    else if (type == "Replace") steps.push_back(replace_step(pattern(json.at("pattern")), json.at("content")));
    else refuse("normalizer", type, "NFC, Prepend, Replace and Sequence");
  }

  [[nodiscard]] SplitBehavior split_behavior(const std::string& name) const {
    if (name == "Removed") return SplitBehavior::removed;
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (name == "Contiguous") return SplitBehavior::contiguous;
    refuse("Split behavior", name, "Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous");
  }

  // Older files say add_prefix_space in place of prepend_scheme.
  [[nodiscard]] PrependScheme prepend_scheme(const Json& json) const {
    const std::string name = json.value("prepend_scheme", json.value("add_prefix_space", true) ? "always" : "never");
    if (name == "always") return PrependScheme::always;
    if (name == "first") return PrependScheme::first;
    if (name == "never") return PrependScheme::never;
    refuse("prepend_scheme", name, "always, first and never");
  }

  // What stands for a space: one character.
  [[nodiscard]] std::string mark(const Json& json) const {
    const std::string text = json.at("replacement").get<std::string>();
    if (text.empty() || utf8_length(text[0]) != text.size())
      refuse("replacement", in_quotes(text), "single characters");
    return text;
  }

  void add_pre_tokenizer(const Json& json, std::vector<PreTokenizerStep>& steps) const {
    const std::string type = type_of(json);
    if (type == "Sequence") {
      for (const Json& part : json.at("pretokenizers")) add_pre_tokenizer(part, steps);
    } else if (type == "ByteLevel") {
      steps.push_back(byte_level_step(json.value("add_prefix_space", true), json.value("use_regex", true)));
    } else if (type == "Split") {
      steps.push_back(
          split_step(pattern(json.at("pattern")), split_behavior(json.at("behavior")), json.value("invert", false)));
    } else if (type == "Digits") {
      const bool individual = json.value("individual_digits", false);
      steps.push_back(
          split_step(Regex("\\p{N}", who_), individual ? SplitBehavior::isolated : SplitBehavior::contiguous, false));
    } else if (type == "Metaspace") {
      steps.push_back(metaspace_step(mark(json), prepend_scheme(json), json.value("split", true)));
    } else {
      refuse("pre_tokenizer", type, "ByteLevel, Digits, Metaspace, Split and Sequence");
    }
  }

  void add_decoder(const Json& json, std::vector<DecoderStep>& steps) const {
    const std::string type = type_of(json);
    if (type == "Sequence")
      for (const Json& part : json.at("decoders")) add_decoder(part, steps);
    else if (type == "ByteLevel") steps.push_back(byte_level_decoder());
    else if (type == "ByteFallback") steps.push_back(byte_fallback_decoder());
    else if (type == "Fuse") steps.push_back(fuse_decoder());
    else if (type == "Replace") steps.push_back(replace_decoder(pattern(json.at("pattern")), json.at("content")));
    else if (type == "Strip")
      steps.push_back(strip_decoder(json.at("content"), number(json.at("start")), number(json.at("stop"))));
    else if (type == "Metaspace") steps.push_back(metaspace_decoder(mark(json), prepend_scheme(json)));
    else refuse("decoder", type, "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Strip and Sequence");
  }

  // What goes around a single text; the second text of a pair does not concern us. Of several each goes around what
  // the one before it has made.
  void add_template(const Json& json, BpeTokenizerParts& parts) const {
    const std::string type = type_of(json);
    if (type == "Sequence") {
      for (const Json& part : json.at("processors")) add_template(part, parts);
    } else if (type == "TemplateProcessing") {
      std::vector<std::int32_t> before, after;
      std::int64_t texts = 0;
      for (const Json& item : json.at("single")) {
        if (item.contains("Sequence")) {
          if (item.at("Sequence").at("id") != "A" || ++texts > 1) break;
          continue;
        }
        const std::string name = item.at("SpecialToken").at("id");
        for (const Json& value : json.at("special_tokens").at(name).at("ids"))
          (texts > 0 ? after : before).push_back(number(value));
      }
      if (texts != 1) refuse("template", json.at("single").dump(), "those with the text once");
      parts.prefix.insert(parts.prefix.begin(), before.begin(), before.end());
      parts.suffix.insert(parts.suffix.end(), after.begin(), after.end());
    } else if (type != "ByteLevel") {  // ByteLevel only trims offsets
      refuse("post_processor", type, "ByteLevel, TemplateProcessing and Sequence");
    }
  }

  std::string who_;
};

// The ids that the files give to tokens count for nothing; whoever wrote others may want to know.
void tell_other_ids(const BpeTokenizerParts& parts, const TokenizerFileFacts& file, const TokensBeside& beside) {
  const auto tell = [&](const std::string& content, std::int64_t said) {
    const auto id = parts.id_of(content);
    if (id && *id != said)
      warn_once(
          fmt::format("{}: the files give the added token {} the id {}; it has {}, as in Hugging Face's "
                      "tokenizers, which counts on from the vocabulary",
                      parts.who, in_quotes(content), said, *id));
  };
  for (const auto& [id, token] : file.added) tell(token.content, id);
  for (const auto& [content, id] : beside.said) tell(content, id);
}

// Calls `read`; what it misses in the JSON is told by the file's name.
template <typename Read>
auto reading(const std::string& who, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& e) {
    throw Error({.who = who, .expected = "the layout of a Hugging Face tokenizer.json", .got = json_reason(e)});
  }
}

TokenizerFileFacts facts_of(const Json& root, const std::string& contents, const std::string& who) {
  return reading(who, [&] {
    TokenizerFileFacts facts;
    facts.added = Reader(who).added_tokens(root);
    facts.byte_level = contents.find("\"ByteLevel\"") != std::string::npos;
    if (const Json padding = root.value("padding", Json()); padding.is_object() && padding.contains("pad_token"))
      facts.pad = padding.at("pad_token").get<std::string>();
    return facts;
  });
}

BpeTokenizerParts parts_of(const Json& root, const std::string& who) {
  return reading(who, [&] { return Reader(who).read(root); });
}

}  // namespace

BpeTokenizerParts parse_tokenizer_json(const std::string& contents, const std::string& who) {
  return parts_of(parse_json(contents, who), who);
}

TokensBeside read_tokens_beside(const fs::path& folder) {
  const fs::path file = folder / kTokenizerJson;
  if (!fs::exists(file)) return read_tokens_beside(folder, {});
  const std::string contents = read_file(file, "a tokenizer");
  return read_tokens_beside(folder, facts_of(parse_json(contents, file.string()), contents, file.string()));
}

void add_tokens_beside(const TokensBeside& beside, BpeTokenizerParts& parts) {
  parts.own_size = 0;
  for (const auto& [token, id] : parts.model.vocabulary()) parts.own_size = std::max(parts.own_size, id + 1L);
  if (!parts.added.by_id().empty()) parts.own_size = std::max(parts.own_size, parts.added.by_id().rbegin()->first + 1L);
  parts.add(beside.tokens);
  if (beside.tokenizer_class == "Qwen2Tokenizer") {  // it adds them once more, without flags
    std::vector<AddedToken> again;
    for (const std::string& content : beside.special) again.push_back({.content = content, .special = true});
    parts.add(again);
  }
  parts.split_special = beside.split_special;
  const auto find = [&](const std::string& role) -> std::optional<std::int32_t> {
    if (const std::string token = beside.of(role); !token.empty())
      if (const auto id = parts.id_of(token)) return id;
    const auto id = beside.ids.find(role);
    return id == beside.ids.end() ? std::nullopt : std::optional(id->second);
  };
  parts.bos = find("bos_token");
  parts.eos = find("eos_token");
  parts.pad = find("pad_token");
}

std::unique_ptr<Tokenizer> read_tokenizer_json(const fs::path& file) {
  const std::string contents = read_file(file, "a tokenizer");
  const Json root = parse_json(contents, file.string());
  const TokenizerFileFacts facts = facts_of(root, contents, file.string());
  const fs::path folder = file.parent_path();
  const TokensBeside beside = read_tokens_beside(folder, facts);
  BpeTokenizerParts parts = parts_of(root, file.string());
  add_tokens_beside(beside, parts);
  tell_other_ids(parts, facts, beside);
  // The template in tokenizer.json alone says what goes around a text.
  const auto tell_ignored = [&](const char* key, std::optional<bool> said, bool has) {
    if (said == true && !has)
      warn_once(fmt::format("{}: {} has no effect, as in transformers 5: the template of tokenizer.json decides",
                            (folder / kTokenizerConfig).string(), key));
  };
  tell_ignored("add_bos_token", beside.add_bos, !parts.prefix.empty());
  tell_ignored("add_eos_token", beside.add_eos, !parts.suffix.empty());
  if (!parts.bos && parts.prefix.size() == 1) parts.bos = parts.prefix[0];
  if (!parts.eos && parts.suffix.size() == 1) parts.eos = parts.suffix[0];

  parts.files.emplace_back(kTokenizerJson, contents);
  add_tokenizer_files(folder, parts.files);
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
