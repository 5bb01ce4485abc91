#include "data/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/added_tokens.h"
#include "data/chat_template_files.h"
#include "data/json_file.h"
#include "data/utf8.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const fs::path& file) {
    files_.emplace_back("tokenizer.model", read_file(file, "a tokenizer"));
    if (const auto status = processor_.LoadFromSerializedProto(files_[0].second); !status.ok())
      throw Error({file.string(), "a model of SentencePiece", status.ToString(),
                   "Llama 3 has another layout under this name; its tokenizer.json will do"});
    for (std::int32_t id = 0; id < processor_.GetPieceSize(); ++id)
      if (processor_.IsControl(id)) add({id, processor_.IdToPiece(id), /*special=*/true});
    const fs::path folder = file.parent_path();
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
      if (fs::exists(folder / name)) files_.emplace_back(name, read_file(folder / name, name));
    for (const std::string& name : chat_template_files(folder))
      files_.emplace_back(name, read_file(folder / name, name));
    const fs::path config = folder / "tokenizer_config.json";
    const Json json = fs::exists(config) ? read_json_file(config, "tokenizer_config.json") : Json::object();
    if (json.is_object()) read_config(json, config.string());
  }

  std::vector<std::int32_t> encode(std::string_view text, bool add_special) const override {
    check_utf8(text, "text to encode");
    std::vector<std::int32_t> ids;
    if (add_special) ids = prefix_;
    for (const Stretch& stretch : added_.split(text)) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
        continue;
      }
      std::vector<int> pieces;
      if (const auto status = processor_.Encode({stretch.text.data(), stretch.text.size()}, &pieces); !status.ok())
        throw Error({"SentencePiece", "a text that it encodes", status.ToString(), ""});
      ids.insert(ids.end(), pieces.begin(), pieces.end());
    }
    if (add_special) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const override {
    std::string text;
    std::vector<int> run;  // the library decodes what stands between added tokens
    const auto finish_run = [&] {
      std::string part;
      if (const auto status = processor_.Decode(run, &part); !status.ok())
        throw Error({"SentencePiece", "ids that it decodes", status.ToString(), ""});
      text += part;
      run.clear();
    };
    for (const std::int32_t id : ids) {
      if (const auto added = added_by_id_.find(id); added != added_by_id_.end()) {
        finish_run();
        if (!skip_special || !added->second.special) text += added->second.content;
      } else if (id >= 0 && id < processor_.GetPieceSize()) {
        run.push_back(id);
      }
    }
    finish_run();
    return replace_invalid_utf8(std::move(text));
  }

  std::int64_t vocabulary_size() const override {
    const std::int64_t pieces = processor_.GetPieceSize();
    return added_by_id_.empty() ? pieces : std::max<std::int64_t>(pieces, added_by_id_.rbegin()->first + 1);
  }
  std::optional<std::int32_t> id_of(std::string_view token) const override {
    for (const auto& [id, added] : added_by_id_)
      if (added.content == token) return id;
    const int id = processor_.PieceToId({token.data(), token.size()});
    if (id >= 0 && id < processor_.GetPieceSize() && processor_.IdToPiece(id) == token) return id;
    return std::nullopt;  // the library gives the unknown token's id
  }
  std::span<const std::int32_t> prefix() const override { return prefix_; }
  std::span<const std::int32_t> suffix() const override { return suffix_; }
  std::optional<std::int32_t> bos() const override { return named(processor_.bos_id()); }
  std::optional<std::int32_t> eos() const override { return named(processor_.eos_id()); }
  std::optional<std::int32_t> unk() const override { return named(processor_.unk_id()); }

  std::span<const std::pair<std::string, std::string>> files() const override { return files_; }
  void save(const fs::path& folder) const override {
    for (const auto& [name, contents] : files_) {
      create_folders((folder / name).parent_path());
      write_file_atomically(folder / name, contents);
    }
  }

 private:
  static std::optional<std::int32_t> named(int id) { return id >= 0 ? std::optional<std::int32_t>(id) : std::nullopt; }

  void add(const AddedToken& token) {
    added_.add(token, token.content);
    added_by_id_.insert_or_assign(token.id, token);
  }

  void read_config(const Json& config, const std::string& who) try {
    const bool has_bos = config.value("add_bos_token", Json()) != false;
    if (has_bos && bos()) prefix_ = {*bos()};
    if (config.value("add_eos_token", Json()) == true && eos()) suffix_ = {*eos()};
    const Json added = config.value("added_tokens_decoder", Json::object());
    for (const auto& [key, json] : added.items()) {
      AddedToken token;
      const auto end = std::from_chars(key.data(), key.data() + key.size(), token.id);
      if (end.ec != std::errc() || end.ptr != key.data() + key.size() || token.id < 0 || token.id >= 1 << 24)
        throw Error({who, "ids of added tokens from 0 to 16777215", key, ""});
      token.content = json.at("content").get<std::string>();
      token.special = json.value("special", false);
      token.single_word = json.value("single_word", false);
      token.lstrip = json.value("lstrip", false);
      token.rstrip = json.value("rstrip", false);
      if (named(processor_.unk_id()) != token.id) add(token);  // a text that has <unk> in it means these letters
    }
  } catch (const Json::exception& error) {
    throw Error({who, "the layout of a tokenizer_config.json", json_reason(error), ""});
  }

  sentencepiece::SentencePieceProcessor processor_;
  AddedTokens added_;
  std::map<std::int32_t, AddedToken> added_by_id_;
  std::vector<std::int32_t> prefix_, suffix_;
  std::vector<std::pair<std::string, std::string>> files_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_sentencepiece(const fs::path& file) {
  return std::make_unique<SentencePieceTokenizer>(file);
}

}  // namespace qad
