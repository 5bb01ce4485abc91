// A regular expression with Unicode classes and look-ahead, as tokenizer files contain them: a thin door to PCRE2.
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
  /// Throws Error naming `who` when the pattern can't be compiled.
  Regex(std::string_view pattern, std::string_view who);
  /// The first non-empty match that begins at or after `from`, in valid UTF-8 text. May be called from several threads.
  [[nodiscard]] std::optional<TextRange> find(std::string_view text, std::size_t from) const;

 private:
  std::shared_ptr<void> code_;
  std::string who_;
};

}  // namespace qad
