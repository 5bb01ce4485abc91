#include "data/tokenizer/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/utf8.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/tokenizer/tokens_beside.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const fs::path& file) {
    files_.emplace_back(kSentencePieceFile, read_file(file, "a tokenizer"));
    if (const auto status = processor_.LoadFromSerializedProto(files_[0].second); !status.ok())
      throw Error({.who = file.string(),
                   .expected = "a model of SentencePiece",
                   .got = status.ToString(),
                   .hint = "Llama 3 has another layout under this name; its tokenizer.json will do"});
    const fs::path folder = file.parent_path();
    const TokensBeside beside = read_tokens_beside(folder, {});
    std::vector<AddedToken> pieces;
    for (std::int32_t id = 0; id < processor_.GetPieceSize(); ++id) {
      info_.push_back({processor_.IdToPiece(id), processor_.IsControl(id)});
      if (processor_.IsControl(id) || processor_.IsUnknown(id))
        pieces.push_back({.content = info_.back().text, .special = true});
    }
    add(pieces);
    add(beside.tokens);
    for (const auto& [id, token] : vocabulary_.by_id())
      found_.add(id, token, token.content, beside.split_special && vocabulary_.is_special(token.content));
    const auto role = [&](const char* name, int otherwise) {
      const std::string said = beside.of(name);
      return said.empty() ? named(otherwise) : id_of(said);
    };
    bos_ = role("bos_token", processor_.bos_id());
    eos_ = role("eos_token", processor_.eos_id());
    pad_ = role("pad_token", processor_.pad_id());
    if (beside.add_bos != false && bos_) prefix_ = {*bos_};
    if (beside.add_eos == true && eos_) suffix_ = {*eos_};
    add_tokenizer_files(folder, files_);
  }

  std::vector<std::int32_t> encode(std::string_view text, bool add_special) const override {
    check_utf8(text, "text to encode");
    std::vector<std::int32_t> ids;
    if (add_special) ids = prefix_;
    for (const Stretch& stretch : found_.split(text)) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
        continue;
      }
      std::vector<int> pieces;
      if (const auto status = processor_.Encode({stretch.text.data(), stretch.text.size()}, &pieces); !status.ok())
        throw Error({.who = "SentencePiece", .expected = "a text that it encodes", .got = status.ToString()});
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
        throw Error({.who = "SentencePiece", .expected = "ids that it decodes", .got = status.ToString()});
      text += part;
      run.clear();
    };
    for (const std::int32_t id : ids) {
      const auto added = vocabulary_.by_id().find(id);
      if (added != vocabulary_.by_id().end() && id != processor_.unk_id()) {  // that the library writes as \u2047
        finish_run();
        if (!skip_special || !vocabulary_.is_special(added->second.content)) text += added->second.content;
      } else if (id >= 0 && id < processor_.GetPieceSize()) {
        run.push_back(id);
      }
    }
    finish_run();
    return replace_invalid_utf8(std::move(text));
  }

  std::int64_t vocabulary_size() const override {
    const auto& added = vocabulary_.by_id();
    return std::max<std::int64_t>(own_vocabulary_size(), added.empty() ? 0 : added.rbegin()->first + 1);
  }
  std::int64_t own_vocabulary_size() const override { return processor_.GetPieceSize(); }
  std::optional<TokenInfo> token(std::int32_t id) const override {
    if (const auto added = vocabulary_.by_id().find(id); added != vocabulary_.by_id().end())
      return TokenInfo{added->second.content, vocabulary_.is_special(added->second.content), &added->second};
    if (id < 0 || id >= processor_.GetPieceSize()) return std::nullopt;
    const Piece& piece = info_[static_cast<std::size_t>(id)];
    return TokenInfo{piece.text, piece.control, nullptr};
  }
  std::optional<std::int32_t> id_of(std::string_view token) const override {
    const auto added = vocabulary_.id_of(std::string(token));
    return added ? added : piece_of(token);
  }
  std::span<const std::int32_t> prefix() const override { return prefix_; }
  std::span<const std::int32_t> suffix() const override { return suffix_; }
  std::optional<std::int32_t> bos() const override { return bos_; }
  std::optional<std::int32_t> eos() const override { return eos_; }
  std::optional<std::int32_t> unk() const override { return named(processor_.unk_id()); }
  std::optional<std::int32_t> pad() const override { return pad_; }

  std::span<const std::pair<std::string, std::string>> files() const override { return files_; }
  void save(const fs::path& folder) const override {
    for (const auto& [name, contents] : files_) {
      create_folders((folder / name).parent_path());
      write_file_atomically(folder / name, contents);
    }
  }

 private:
  static std::optional<std::int32_t> named(int id) { return id >= 0 ? std::optional<std::int32_t>(id) : std::nullopt; }

  [[nodiscard]] std::optional<std::int32_t> piece_of(std::string_view token) const {
    const int id = processor_.PieceToId({token.data(), token.size()});
    if (id >= 0 && id < processor_.GetPieceSize() && processor_.IdToPiece(id) == token) return id;
    return std::nullopt;  // the library gives the unknown token's id
  }
  void add(std::span<const AddedToken> tokens) {
    vocabulary_.add(tokens, {[this](const std::string& token) { return piece_of(token); }, processor_.GetPieceSize()});
  }

  struct Piece {
    std::string text;
    bool control;
  };
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<Piece> info_;  // by id
  AddedVocabulary vocabulary_;
  AddedTokens found_;  // in a text
  std::vector<std::int32_t> prefix_, suffix_;
  std::optional<std::int32_t> bos_, eos_, pad_;
  NamedFiles files_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_sentencepiece(const fs::path& file) {
  return std::make_unique<SentencePieceTokenizer>(file);
}

}  // namespace qad
