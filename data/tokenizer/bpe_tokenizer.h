// A byte-pair tokenizer: the parts that a tokenizer file describes, put together. Which file says what is known to the
// readers (read_tokenizer_json and its neighbours); what the parts do is in the headers included here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe_model.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/tokenizer/tokenizer_stages.h"

namespace qad {

struct BpeTokenizerParts {
  explicit BpeTokenizerParts(BpeModel bpe_model) : model(std::move(bpe_model)) {}

  BpeModel model;
  AddedVocabulary added;
  std::int64_t own_size = 0;   ///< one more than the largest id, before tokens from beside the file were added
  bool split_special = false;  ///< special tokens in a text are text
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<DecoderStep> decoder;
  std::vector<std::int32_t> prefix, suffix;
  std::optional<std::int32_t> bos, eos, pad;
  NamedFiles files;  ///< for save()
  std::string who;   ///< in messages

  /// Adds tokens as AddedVocabulary does.
  void add(std::span<const AddedToken> tokens);
  [[nodiscard]] std::optional<std::int32_t> id_of(const std::string& token) const;
};

struct TokensBeside;
/// Adds what the files beside a tokenizer's own name: tokens, and which of them starts, ends and pads a text.
void add_tokens_beside(const TokensBeside& beside, BpeTokenizerParts& parts);

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeTokenizerParts parts);

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, bool add_special) const override;
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, bool skip_special) const override;
  [[nodiscard]] std::int64_t vocabulary_size() const override { return static_cast<std::int64_t>(tokens_.size()); }
  [[nodiscard]] std::int64_t own_vocabulary_size() const override { return parts_.own_size; }
  [[nodiscard]] std::optional<TokenInfo> token(std::int32_t id) const override;
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const override;
  [[nodiscard]] std::span<const std::int32_t> prefix() const override { return parts_.prefix; }
  [[nodiscard]] std::span<const std::int32_t> suffix() const override { return parts_.suffix; }
  [[nodiscard]] std::optional<std::int32_t> bos() const override { return parts_.bos; }
  [[nodiscard]] std::optional<std::int32_t> eos() const override { return parts_.eos; }
  [[nodiscard]] std::optional<std::int32_t> unk() const override { return parts_.model.unk(); }
  [[nodiscard]] std::optional<std::int32_t> pad() const override { return parts_.pad; }
  [[nodiscard]] std::span<const std::pair<std::string, std::string>> files() const override { return parts_.files; }
  void save(const std::filesystem::path& folder) const override;

 private:
  struct Token {
    std::string text;
    bool known = false, special = false;
  };
  void encode_stretch(std::string_view text, bool at_start, const TextLimit& limit,
                      std::vector<std::int32_t>& ids) const;

  BpeTokenizerParts parts_;
  AddedTokens verbatim_, in_normalized_;
  std::vector<Token> tokens_;  ///< by id
};

// The readers. `folder` is where the files lie; each keeps what save() needs.
/// Hugging Face's tokenizer.json, with the tokens that the files beside it name.
[[nodiscard]] std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& file);
/// The file alone, from memory; `who` stands in messages.
[[nodiscard]] BpeTokenizerParts parse_tokenizer_json(const std::string& contents, const std::string& who);
/// GPT-2's pair: token to id as JSON, and one merge a line, best first. Read as GPT-2's tokenizer, or as that of Qwen2
/// where the files beside it say so.
[[nodiscard]] std::unique_ptr<Tokenizer> read_gpt2_pair(const std::filesystem::path& vocab,
                                                        const std::filesystem::path& merges);
/// llama2.c's tokenizer.bin: the tokens with scores; neighbours merge whose union is a token, best score first.
[[nodiscard]] std::unique_ptr<Tokenizer> read_llama2c(const std::filesystem::path& file);
/// The tokenizer named "bytes".
[[nodiscard]] std::unique_ptr<Tokenizer> make_byte_tokenizer();

}  // namespace qad
