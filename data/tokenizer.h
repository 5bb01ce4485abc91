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
  [[nodiscard]] virtual std::optional<std::int32_t> id_of(std::string_view token) const = 0;
  /// What encode() puts before and after the text.
  [[nodiscard]] virtual std::span<const std::int32_t> prefix() const = 0;
  [[nodiscard]] virtual std::span<const std::int32_t> suffix() const = 0;
  /// Start-of-text, end-of-text and unknown token, where the files name them.
  [[nodiscard]] virtual std::optional<std::int32_t> bos() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> eos() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> unk() const = 0;

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
/// and merges.txt (GPT-2), a tokenizer.bin of llama2.c; each named itself or through its folder. "bytes" is a tokenizer
/// with no file: ids 0 to 255 are the bytes, 256 is <|startoftext|> and begins every text, 257 is <|endoftext|>.
[[nodiscard]] std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

/// Ids of a text that a model shall continue: an end token that the tokenizer would put after a text has no place here.
[[nodiscard]] std::vector<std::int32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view prompt);

/// Throws unless every id of the tokenizer is within a model's vocabulary.
void check_vocabulary(const Tokenizer& tokenizer, std::int64_t model_vocabulary, std::string_view who);

}  // namespace qad
