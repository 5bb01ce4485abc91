// A regular expression with Unicode classes and look-ahead, as tokenizer files contain them: a thin door to PCRE2, by
// the rules of Oniguruma (Ruby's syntax), with which Hugging Face's `tokenizers` reads them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace qad {

struct TextRange {
  std::size_t begin = 0, end = 0;
};

class Regex {
 public:
  /// Throws Error naming `who` when the pattern can't be compiled, or means another thing to PCRE2 than to Oniguruma.
  Regex(std::string_view pattern, std::string_view who);
  /// The first match that begins at or after `from`, in valid UTF-8 text; it may be empty. May be called from several
  /// threads. Throws Error for a pattern that takes far more steps than the text has bytes.
  [[nodiscard]] std::optional<TextRange> find(std::string_view text, std::size_t from) const;

 private:
  std::shared_ptr<void> code_;
  std::string who_;
};

}  // namespace qad
