// Reads Hugging Face's tokenizer.json and the small files beside it. What is not understood is refused by name, so that
// ids are either those of Hugging Face's `tokenizers` or an error.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/bpe_tokenizer.h"
#include "data/chat_template_files.h"
#include "data/json_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

/// Reads one tokenizer.json; `who_` is its name in messages.
class Reader {
 public:
  explicit Reader(std::string who) : who_(std::move(who)) {}

  [[nodiscard]] BpeTokenizerParts read(const Json& root) const {
    BpeTokenizerParts parts(model(root.at("model")));
    for (const Json& token : root.value("added_tokens", Json::array()))
      parts.added_tokens.push_back(added_token(token));
    if (const Json* step = present(root, "normalizer")) add_normalizer(*step, parts.normalizer);
    if (const Json* step = present(root, "pre_tokenizer")) add_pre_tokenizer(*step, parts.pre_tokenizer);
    if (const Json* step = present(root, "decoder")) add_decoder(*step, parts.decoder);
    else parts.decoder.push_back(join_with_spaces_decoder());
    if (const Json* step = present(root, "post_processor")) add_template(*step, parts);
    return parts;
  }

 private:
  /// The value of a key that is there and not null.
  static const Json* present(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  static std::string type_of(const Json& step) { return step.at("type").get<std::string>(); }

  [[noreturn]] void refuse(std::string_view stage, const std::string& type, std::string_view supported) const {
    throw Error({who_, fmt::format("a {} among {}", stage, supported), type,
                 "tokenize with the original tokenizer and give the ids as HDF5 (data.train.token_file)"});
  }

  /// An id or a count. The JSON library would turn 1e300 into an integer unasked.
  [[nodiscard]] std::int32_t number(const Json& value) const {
    if (const std::int64_t result = value.is_number_integer() ? value.get<std::int64_t>() : -1;
        result >= 0 && result < kMostTokens)
      return static_cast<std::int32_t>(result);
    throw Error({who_, fmt::format("numbers from 0 to {}", kMostTokens - 1), value.dump(), ""});
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
    vocabulary.reserve(entries.size());
    for (const auto& [token, value] : entries.items()) vocabulary.emplace(token, number(value));
    BpeModel bpe(std::move(vocabulary), std::move(options), who_);

    std::int32_t rank = 0;
    for (const Json& merge : json.at("merges")) {
      if (merge.is_array() && merge.size() == 2) {
        bpe.add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), rank++);
        continue;
      }
      const std::string& line = merge.get_ref<const std::string&>();
      const std::size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
        throw Error({who_, "merges of two tokens with a space between", '\'' + line + '\'', ""});
      bpe.add_merge(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1), rank++);
    }
    return bpe;
  }

  [[nodiscard]] AddedToken added_token(const Json& json) const {
    AddedToken token{number(json.at("id")), json.at("content").get<std::string>()};
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

  /// Older files say add_prefix_space in place of prepend_scheme.
  [[nodiscard]] PrependScheme prepend_scheme(const Json& json) const {
    const std::string name = json.value("prepend_scheme", json.value("add_prefix_space", true) ? "always" : "never");
    if (name == "always") return PrependScheme::always;
    if (name == "first") return PrependScheme::first;
    if (name == "never") return PrependScheme::never;
    refuse("prepend_scheme", name, "always, first and never");
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
      steps.push_back(metaspace_step(json.at("replacement"), prepend_scheme(json), json.value("split", true)));
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
    else if (type == "Metaspace") steps.push_back(metaspace_decoder(json.at("replacement"), prepend_scheme(json)));
    else refuse("decoder", type, "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Strip and Sequence");
  }

  /// What goes around a single text; the second text of a pair does not concern us.
  void add_template(const Json& json, BpeTokenizerParts& parts) const {
    const std::string type = type_of(json);
    if (type == "Sequence") {
      for (const Json& part : json.at("processors")) add_template(part, parts);
    } else if (type == "TemplateProcessing") {
      bool after_text = false;
      for (const Json& item : json.at("single")) {
        if (item.contains("Sequence")) {
          after_text = true;
          continue;
        }
        const std::string name = item.at("SpecialToken").at("id");
        for (const Json& value : json.at("special_tokens").at(name).at("ids"))
          (after_text ? parts.suffix : parts.prefix).push_back(number(value));
      }
    } else if (type != "ByteLevel") {  // ByteLevel only trims offsets
      refuse("post_processor", type, "ByteLevel, TemplateProcessing and Sequence");
    }
  }

  std::string who_;
};

/// Start and end token as the files beside tokenizer.json name them: by text, or in the model's config by id.
class SpecialTokenFinder {
 public:
  SpecialTokenFinder(const fs::path& folder, const BpeTokenizerParts& parts) : parts_(parts) {
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "config.json"})
      if (fs::exists(folder / name)) configs_.push_back(read_json_file(folder / name, name));
  }

  [[nodiscard]] std::optional<std::int32_t> find(const std::string& role) const {
    for (const Json& config : configs_) {
      if (!config.is_object()) continue;
      Json token = config.value(role + "_token", Json());
      if (token.is_object()) token = token.value("content", Json());
      if (token.is_string()) {
        const std::string text = token;
        for (const AddedToken& added : parts_.added_tokens)
          if (added.content == text) return added.id;
        if (const auto known = parts_.model.find(text)) return known;
      }
      Json id = config.value(role + "_token_id", Json());
      if (id.is_array() && !id.empty()) id = id[0];
      if (id.is_number_integer() && id >= 0 && id < kMostTokens) return id.get<std::int32_t>();
    }
    return std::nullopt;
  }

  [[nodiscard]] bool says(const std::string& flag) const {
    for (const Json& config : configs_)
      if (config.is_object() && config.value(flag, Json()) == true) return true;
    return false;
  }

 private:
  const BpeTokenizerParts& parts_;
  std::vector<Json> configs_;
};

}  // namespace

BpeTokenizerParts parse_tokenizer_json(const std::string& contents, const std::string& who) {
  const Json root = parse_json(contents, who);
  try {
    return Reader(who).read(root);
  } catch (const Json::exception& e) {
    throw Error({who, "the layout of a Hugging Face tokenizer.json", json_reason(e), ""});
  }
}

std::unique_ptr<Tokenizer> read_tokenizer_json(const fs::path& file) {
  const std::string contents = read_file(file, "a tokenizer");
  BpeTokenizerParts parts = parse_tokenizer_json(contents, file.string());
  const fs::path folder = file.parent_path();
  const SpecialTokenFinder finder(folder, parts);
  parts.bos = finder.find("bos");
  parts.eos = finder.find("eos");
  // The template in tokenizer.json says what goes around a text; without one the config may.
  const bool has_template = !parts.prefix.empty() || !parts.suffix.empty();
  if (!has_template && parts.bos && finder.says("add_bos_token")) parts.prefix = {*parts.bos};
  if (!has_template && parts.eos && finder.says("add_eos_token")) parts.suffix = {*parts.eos};
  if (!parts.bos && parts.prefix.size() == 1) parts.bos = parts.prefix[0];
  if (!parts.eos && parts.suffix.size() == 1) parts.eos = parts.suffix[0];

  parts.files.emplace_back("tokenizer.json", contents);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
                           "merges.txt", "tokenizer.model", "chat_template.json"})
    if (fs::exists(folder / name)) parts.files.emplace_back(name, read_file(folder / name, name));
  for (const std::string& name : chat_template_files(folder))
    parts.files.emplace_back(name, read_file(folder / name, name));
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace qad
