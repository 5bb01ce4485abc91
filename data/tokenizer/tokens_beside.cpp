#include "data/tokenizer/tokens_beside.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "data/tokenizer/tokenizer_class.h"
#include "data/tokenizer/tokenizer_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using OrderedJson = nlohmann::ordered_json;  // which of two tokens comes first decides their ids

constexpr std::array<std::string_view, 7> kRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                    "pad_token", "cls_token", "mask_token"};
bool is_role(std::string_view key) { return std::ranges::find(kRoles, key) != kRoles.end(); }

// A token as a file names it: by its text alone, or with flags.
struct Named {
  AddedToken token;
  bool is_text = false;
  bool says_normalized = false;
  bool unread = false;  // an object of tokenizer_config.json, which added_tokens.json is not yet matched with

  // What makes two of them one.
  [[nodiscard]] std::string key() const {
    std::string flags;
    for (const bool flag : {is_text, token.special, token.single_word, token.lstrip, token.rstrip, token.normalized})
      flags += flag ? '1' : '0';
    return flags + token.content;
  }
};

// Several by name, in the order in which the names were first met.
class NamedList {
 public:
  // No token: said to be none.
  void set(const std::string& name, std::optional<Named> token) {
    const auto [place, is_new] = places_.try_emplace(name, entries_.size());
    if (is_new) entries_.emplace_back(name, std::move(token));
    else entries_[place->second].second = std::move(token);
  }
  [[nodiscard]] bool has(const std::string& name) const { return places_.contains(name); }
  [[nodiscard]] std::optional<Named> find(const std::string& name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? std::nullopt : entries_[found->second].second;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::optional<Named>>>& entries() const { return entries_; }

 private:
  std::map<std::string, std::size_t> places_;
  std::vector<std::pair<std::string, std::optional<Named>>> entries_;
};

// A file that may be absent, as an object.
OrderedJson read_object(const fs::path& file) {
  if (!fs::exists(file)) return OrderedJson::object();
  OrderedJson json = parse_python_json(read_file(file, "a tokenizer's file"), file.string());
  if (!json.is_object()) throw Error({.who = file.string(), .expected = "a JSON object", .got = json.type_name()});
  return json;
}

const OrderedJson* present(const OrderedJson& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_at(const OrderedJson& object, const std::string& key) {
  const OrderedJson* value = present(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// Reads one file's values; its name stands in errors.
class Values {
 public:
  explicit Values(std::string who) : who_(std::move(who)) {}

  [[noreturn]] void refuse(const std::string& key, const std::string& expected, const OrderedJson& got) const {
    throw Error({.who = who_ + ": " + key, .expected = expected, .got = got.dump().substr(0, 60)});
  }

  [[nodiscard]] bool flag(const std::string& key, const OrderedJson& object, const char* name, bool otherwise) const {
    const auto found = object.find(name);
    if (found == object.end()) return otherwise;
    if (!found->is_boolean()) refuse(key + "." + name, "true or false", *found);
    return found->get<bool>();
  }

  // A text, or an object with `content` and flags.
  [[nodiscard]] Named token(const std::string& key, const OrderedJson& json, bool special) const {
    Named named;
    if (json.is_string()) {
      named.token.content = json.get<std::string>();
      named.is_text = true;
      return named;
    }
    if (!json.is_object() || !present(json, "content") || !json.at("content").is_string())
      refuse(key, "a token: a text, or an object with its content", json);
    AddedToken& token = named.token;
    token.content = json.at("content").get<std::string>();
    token.special = special || flag(key, json, "special", false);
    token.single_word = flag(key, json, "single_word", false);
    token.lstrip = flag(key, json, "lstrip", false);
    token.rstrip = flag(key, json, "rstrip", false);
    named.says_normalized = json.contains("normalized");
    token.normalized = flag(key, json, "normalized", !token.special);
    return named;
  }

 private:
  std::string who_;
};

// The arguments that transformers gives to a tokenizer's class.
class Arguments {
 public:
  Arguments(const fs::path& folder, const TokenizerFileFacts& file) : file_(file) {
    const fs::path config = folder / kTokenizerConfig, map = folder / kSpecialTokensMap;
    const OrderedJson json = read_object(config);
    read_config(json, Values(config.string()));
    if (const OrderedJson* decoder = present(json, "added_tokens_decoder")) {
      read_decoder(*decoder, Values(config.string()));
      return;
    }
    // Without it the older files count, and what the tokenizer.json adds itself.
    read_map(read_object(map), Values(map.string()));
    const fs::path added = folder / kAddedTokens;
    read_added(read_object(added), Values(added.string()));
    for (const auto& [id, token] : file.added) remember(id, {token, false, true});
  }

  // What no file speaks of is the class's own. A class's own names come before others.
  void set_defaults(const std::string& tokenizer_class) {
    NamedList named;
    for (const auto& [name, text] : tokens_of_class(tokenizer_class)) {
      std::optional<Named> token;
      if (text) token = Named{{.content = *text}, true};
      if (is_role(name)) {
        if (!roles_.has(name)) roles_.set(name, token);
        continue;
      }
      if (others_.has(name)) token = others_.find(name);
      named.set(name, token);
      if (token && !has_extra_) extra_.push_back(*token);
    }
    for (const auto& [name, token] : others_.entries()) named.set(name, token);
    others_ = std::move(named);
    if (file_.pad && !roles_.has("pad_token")) roles_.set("pad_token", Named{{.content = *file_.pad}, true});
  }

  void finish(TokensBeside& beside) const {
    std::vector<Named> named;  // the special tokens, in the order in which they are added
    const auto add_named = [&](const std::string& role, const std::optional<Named>& token) {
      if (!token) return;
      beside.named.emplace_back(role, token->token.content);
      if (!token->token.content.empty()) named.push_back(*token);
    };
    for (const std::string_view role : kRoles) add_named(std::string(role), as_added(roles_.find(std::string(role))));
    NamedList others = others_;
    for (const auto& [name, token] : texts_.entries()) others.set(name, token);
    for (const auto& [name, token] : others.entries()) add_named(name, token);

    for (const auto& list : {named, extra_})
      for (const Named& token : list) beside.special.push_back(token.token.content);
    std::set<std::string> known, special;
    for (const auto& [id, token] : file_.added) known.insert(token.content);
    for (const auto& [id, token] : by_id_) known.insert(token.token.content);
    for (const Named& token : named) special.insert(token.token.content);
    std::vector<Named> tokens;
    std::set<std::string> keys;
    for (const auto& [id, token] : by_id_) tokens.push_back(token);
    for (const auto& list : {named, extra_})
      for (const Named& token : list)
        if (!known.contains(token.token.content) && keys.insert(token.key()).second) tokens.push_back(token);
    for (Named& one : tokens) {
      if (one.is_text) one.token.special = true;
      else if (special.contains(one.token.content)) {
        one.token.special = true;
        if (!one.says_normalized) one.token.normalized = false;
      }
      beside.tokens.push_back(one.token);
    }
    for (const auto& [id, token] : by_id_) beside.said.emplace(token.token.content, id);
  }

 private:
  void remember(std::int64_t id, const Named& token) {
    by_id_.insert_or_assign(id, token);
    by_content_.insert_or_assign(token.token.content, token);
  }

  [[nodiscard]] std::optional<Named> as_added(const std::optional<Named>& token) const {
    if (!token) return token;
    const auto found = by_content_.find(token->token.content);
    return found == by_content_.end() ? token : found->second;
  }

  void read_role(const std::string& key, const OrderedJson& value, const Values& values, bool special) {
    if (value.is_null() || value == false) return roles_.set(key, std::nullopt);
    Named token = values.token(key, value, special);
    token.unread = !special && !token.is_text;
    roles_.set(key, std::move(token));
  }

  void read_config(const OrderedJson& json, const Values& values) {
    for (const auto& [key, value] : json.items()) {
      const bool is_object = value.is_object() && value.value("__type", OrderedJson()) == "AddedToken";
      if (is_role(key)) read_role(key, value, values, false);
      else if (key.ends_with("_token") && value.is_string()) texts_.set(key, values.token(key, value, false));
      else if (key.ends_with("_token") && is_object) others_.set(key, values.token(key, value, false));
      else if (key.ends_with("_token") && value.is_null()) others_.set(key, std::nullopt);
    }
    read_names(json, values);
    const OrderedJson* extra = present(json, "extra_special_tokens");
    const OrderedJson* additional = present(json, "additional_special_tokens");
    has_extra_ =
        additional != nullptr || (json.contains("extra_special_tokens") && !json["extra_special_tokens"].is_object());
    if (extra == nullptr || extra->empty()) extra = additional;
    if (extra == nullptr) return;
    if (extra->is_object()) {
      has_extra_ = false;
      extra = additional;
    }
    if (extra != nullptr) read_list("additional_special_tokens", *extra, values, false);
  }

  // Tokens under names of their own; the older key counts where it has any.
  void read_names(const OrderedJson& json, const Values& values) {
    const bool has_texts = !texts_.entries().empty();
    const OrderedJson* names = present(json, "extra_special_tokens");
    if (names == nullptr || !names->is_object()) names = nullptr;
    if (!has_texts && (names == nullptr || names->empty())) names = present(json, "model_specific_special_tokens");
    if (names == nullptr) return;
    if (!names->is_object()) values.refuse("model_specific_special_tokens", "an object of tokens by name", *names);
    for (const auto& [key, value] : names->items()) texts_.set(key, values.token(key, value, false));
  }

  void read_list(const std::string& key, const OrderedJson& list, const Values& values, bool special) {
    if (!list.is_array()) values.refuse(key, "a list of tokens", list);
    for (const OrderedJson& value : list) {
      Named token = values.token(key, value, special);
      token.unread = !special && !token.is_text;
      extra_.push_back(std::move(token));
    }
  }

  void read_map(const OrderedJson& json, const Values& values) {
    if (const OrderedJson* extra = present(json, "extra_special_tokens")) {
      has_extra_ = !extra->is_object();
      if (has_extra_) {
        read_list("extra_special_tokens", *extra, values, true);
      } else {
        extra_.clear();  // its names take the list's place
        for (const auto& [name, token] : extra->items()) texts_.set(name, values.token(name, token, false));
      }
    }
    for (const auto& [key, value] : json.items()) {
      if (is_role(key)) read_role(key, value, values, true);
      else if (key == "additional_special_tokens" && !value.is_null() && !has_extra_)
        read_list(key, value, values, true);
      else if (key.ends_with("_token") && (value.is_string() || value.is_object()))
        others_.set(key, values.token(key, value, true));
    }
  }

  void read_decoder(const OrderedJson& json, const Values& values) {
    if (!json.is_object()) values.refuse("added_tokens_decoder", "an object of tokens by id", json);
    for (const auto& [key, value] : json.items()) {
      std::int64_t id = -1;
      const auto end = std::from_chars(key.data(), key.data() + key.size(), id);
      if (end.ec != std::errc() || end.ptr != key.data() + key.size() || id < 0)
        values.refuse("added_tokens_decoder", "ids of tokens", OrderedJson(key));
      if (!value.is_object()) values.refuse("added_tokens_decoder." + key, "a token with its content and flags", value);
      remember(id, values.token("added_tokens_decoder." + key, value, false));
    }
  }

  void read_added(const OrderedJson& json, const Values& values) {
    std::set<std::string> special;
    for (const auto& [role, token] : roles_.entries())
      if (token && !token->unread) special.insert(token->token.content);
    for (const Named& token : extra_)
      if (has_extra_ && !token.unread) special.insert(token.token.content);
    for (const auto& [content, id] : json.items()) {
      if (!id.is_number_integer() || id < 0) values.refuse(content, "the token's id", id);
      Named named{{.content = content, .special = special.contains(content)}, false, true};
      named.token.normalized = !named.token.special;
      remember(id.get<std::int64_t>(), named);
    }
  }

  const TokenizerFileFacts& file_;
  NamedList roles_;
  NamedList texts_;   // special tokens of other names that tokenizer_config.json gives as texts; they come last, and
  NamedList others_;  // their token counts where these have the name too
  std::vector<Named> extra_;
  bool has_extra_ = false;  // tokenizer_config.json has a list of further special tokens, perhaps an empty one
  std::map<std::int64_t, Named> by_id_;
  std::map<std::string, Named> by_content_;
};

}  // namespace

std::string TokensBeside::of(std::string_view name) const {
  const auto found = std::find_if(named.rbegin(), named.rend(), [&](const auto& one) { return one.first == name; });
  return found == named.rend() ? "" : found->second;
}

TokensBeside read_tokens_beside(const fs::path& folder, const TokenizerFileFacts& file) {
  const OrderedJson config = read_object(folder / "config.json");
  const fs::path place = folder / kTokenizerConfig;
  const OrderedJson json = read_object(place);
  const Values values(place.string());
  TokensBeside beside;
  std::string said = text_at(json, "tokenizer_class");
  if (said.empty()) said = text_at(config, "tokenizer_class");
  beside.tokenizer_class = tokenizer_class_of(text_at(config, "model_type"), std::move(said), file.byte_level);
  for (const char* key : {"add_bos_token", "add_eos_token"})
    if (const OrderedJson* value = present(json, key)) {
      if (!value->is_boolean()) values.refuse(key, "true or false", *value);
      (std::string_view(key) == "add_bos_token" ? beside.add_bos : beside.add_eos) = value->get<bool>();
    }
  if (present(json, "split_special_tokens"))
    beside.split_special = values.flag("split_special_tokens", json, "split_special_tokens", false);
  if (present(json, "add_prefix_space"))
    beside.add_prefix_space = values.flag("add_prefix_space", json, "add_prefix_space", false);

  Arguments arguments(folder, file);
  arguments.set_defaults(beside.tokenizer_class);
  arguments.finish(beside);
  for (const char* role : {"bos_token", "eos_token"}) {
    OrderedJson id = config.value(std::string(role) + "_id", OrderedJson());
    if (id.is_array() && !id.empty()) id = id[0];
    if (id.is_number_integer() && id >= 0 && id < (std::int64_t{1} << 31)) beside.ids[role] = id.get<std::int32_t>();
  }
  return beside;
}

}  // namespace qad
