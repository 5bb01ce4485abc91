// The stages around byte-pair encoding, by the names they have in a tokenizer.json:
//     text -> normalizer -> pre-tokenizer -> (bpe_model.h) -> ids      ids -> tokens -> decoder -> text
// Each stage is a list of steps; a step is a function that edits what it is given. All text is valid UTF-8.
//
// Source: Hugging Face's `tokenizers` (normalizers, pre_tokenizers, decoders), whose results these steps equal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/tokenizer/regex.h"

namespace qad {

/// What a Replace or Split step looks for: these very bytes, or a regular expression.
using Pattern = std::variant<std::string, Regex>;

/// The matches of a pattern in a text, from left to right, as an iterator of Oniguruma gives them: an empty one counts
/// too, unless it touches the match before.
class Matches {
 public:
  Matches(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}
  /// No more are given once there is none.
  [[nodiscard]] std::optional<TextRange> next();

 private:
  const Pattern& pattern_;
  std::string_view text_;
  std::size_t from_ = 0;
  std::optional<std::size_t> last_end_;
};

/// How long stages may make a text. Without this a file of a few lines could ask for any amount of memory, by steps
/// that each write ten characters for one.
class TextLimit {
 public:
  /// For what comes of a text of so many bytes; `who` names the tokenizer in messages.
  TextLimit(std::string_view who, std::size_t bytes) : who_(who), most_(64 * bytes + 4096) {}
  /// Throws Error for more bytes.
  void check(std::size_t bytes) const;

 private:
  std::string_view who_;
  std::size_t most_;
};

// Normalizers: edit the text.
using NormalizerStep = std::function<void(std::string&, const TextLimit&)>;
[[nodiscard]] NormalizerStep nfc_step();
[[nodiscard]] NormalizerStep prepend_step(std::string text);
[[nodiscard]] NormalizerStep replace_step(Pattern pattern, std::string replacement);

// Pre-tokenizers: cut the text in pieces that are encoded one by one.
struct Piece {
  std::string text;
  bool at_start = false;  ///< begins where the whole text begins
};
using PreTokenizerStep = std::function<void(std::vector<Piece>&, const TextLimit&)>;

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
/// Cuts at the matches of a pattern (at what lies between them if `invert`); the behavior says where matches go.
[[nodiscard]] PreTokenizerStep split_step(Pattern pattern, SplitBehavior behavior, bool invert);

enum class PrependScheme { always, first, never };
/// Spaces become `mark`, which also goes in front of the piece; if `split`, every mark begins a piece.
[[nodiscard]] PreTokenizerStep metaspace_step(std::string mark, PrependScheme prepend, bool split);
/// The pattern by which GPT-2 cuts words.
extern const std::string_view kGpt2Pattern;
/// Cuts by kGpt2Pattern if `use_regex`; then every byte becomes a printable character.
[[nodiscard]] PreTokenizerStep byte_level_step(bool add_prefix_space, bool use_regex);

// Decoders: edit the list of tokens; what is left is joined.
using DecoderStep = std::function<void(std::vector<std::string>&, const TextLimit&)>;
[[nodiscard]] DecoderStep byte_level_decoder();
[[nodiscard]] DecoderStep byte_fallback_decoder();
[[nodiscard]] DecoderStep fuse_decoder();
[[nodiscard]] DecoderStep replace_decoder(Pattern pattern, std::string replacement);
/// Takes up to `start` and `stop` of a character off the ends of each token.
[[nodiscard]] DecoderStep strip_decoder(std::string character, int start, int stop);
[[nodiscard]] DecoderStep metaspace_decoder(std::string mark, PrependScheme prepend);
/// Without a decoder tokens are joined by spaces.
[[nodiscard]] DecoderStep join_with_spaces_decoder();

/// The printable character that stands for a byte in a byte-level vocabulary.
[[nodiscard]] const std::string& byte_character(unsigned char byte);
/// Edits `text`: every match of the pattern becomes `replacement`.
void replace_all(std::string& text, const Pattern& pattern, std::string_view replacement, const TextLimit& limit);

}  // namespace qad
