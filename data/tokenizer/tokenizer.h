// Text to token ids and back: the contract, and the one door through which tokenizers are loaded. How a byte-pair
// tokenizer works is in bpe_tokenizer.h and the files it names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad {

struct AddedToken;

/// What an id stands for.
struct TokenInfo {
  std::string_view text;              ///< as the vocabulary has it: bytes as characters, spaces as marks
  bool special = false;               ///< left out of decoded text on request
  const AddedToken* added = nullptr;  ///< one that is looked for in the text before all else
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of UTF-8 text. With `add_special` the tokenizer's own start and end tokens go around them, as its files say.
  /// Throws Error with the byte offset when the text is not UTF-8. May be called from several threads.
  [[nodiscard]] virtual std::vector<std::int32_t> encode(std::string_view text, bool add_special = true) const = 0;
  /// Text of ids; always UTF-8 (a cut-off character becomes U+FFFD). An id that names no token is left out: models
  /// often have a few more rows than their tokenizer has tokens.
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids, bool skip_special = true) const = 0;

  /// One more than the largest id.
  [[nodiscard]] virtual std::int64_t vocabulary_size() const = 0;
  /// The same without tokens that only the small files beside the tokenizer's own name.
  [[nodiscard]] virtual std::int64_t own_vocabulary_size() const = 0;
  [[nodiscard]] virtual std::optional<TokenInfo> token(std::int32_t id) const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> id_of(std::string_view token) const = 0;
  /// What encode() puts before and after the text.
  [[nodiscard]] virtual std::span<const std::int32_t> prefix() const = 0;
  [[nodiscard]] virtual std::span<const std::int32_t> suffix() const = 0;
  /// Start-of-text, end-of-text, unknown and padding token, where the files name them.
  [[nodiscard]] virtual std::optional<std::int32_t> bos() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> eos() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> unk() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> pad() const = 0;

  /// Names and contents of the files from which load_tokenizer makes this tokenizer again.
  [[nodiscard]] virtual std::span<const std::pair<std::string, std::string>> files() const = 0;
  /// Writes them.
  virtual void save(const std::filesystem::path& folder) const = 0;

  /// Where load_tokenizer read it, and where its chat template lies; empty for one without files.
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  friend std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);
  std::filesystem::path folder_;
};

/// Reads, by what is there: a Hugging Face tokenizer.json (BPE), SentencePiece's tokenizer.model, a pair of vocab.json
/// and merges.txt (GPT-2, Qwen2), a tokenizer.bin of llama2.c; each named itself or through its folder. Tokens that the
/// small files beside it name (tokens_beside.h) belong to it. "bytes" is a tokenizer with no file: ids 0 to 255 are the
/// bytes, 256 is <|startoftext|> and begins every text, 257 is <|endoftext|>.
[[nodiscard]] std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);
/// Whether load_tokenizer finds one in a folder.
[[nodiscard]] bool has_tokenizer(const std::filesystem::path& folder);

/// Ids of a text that a model shall continue: an end token that the tokenizer would put after a text has no place here.
[[nodiscard]] std::vector<std::int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt);

/// Throws unless every id of the tokenizer's own vocabulary is within a model's. Tokens that only the files beside it
/// name may lie beyond, as transformers lets them: a warning names the first; a text that has it is refused.
void check_vocabulary(const Tokenizer& tokenizer, std::int64_t model_vocabulary, std::string_view who);

/// Throws Error, naming the first id that differs, unless two tokenizers have the same token for every id of a model's
/// vocabulary. A padding token that only one of them has is no difference: no text holds it.
void check_same_tokens(const Tokenizer& expected, std::string_view whose, const Tokenizer& got, std::string_view who,
                       std::int64_t model_vocabulary);

}  // namespace qad
