// How text is edited before it is cut; finding and replacing patterns.
#include "data/nfc.h"
#include "data/tokenizer_stages.h"

namespace qad {

TextRange find_pattern(const Pattern& pattern, std::string_view text, std::size_t from) {
  constexpr std::size_t kNone = std::string_view::npos;
  if (const auto* regex = std::get_if<Regex>(&pattern))
    return regex->find(text, from).value_or(TextRange{kNone, kNone});
  const std::string& literal = std::get<std::string>(pattern);
  const std::size_t at = literal.empty() ? kNone : text.find(literal, from);
  return at == kNone ? TextRange{kNone, kNone} : TextRange{at, at + literal.size()};
}

void replace_all(std::string& text, const Pattern& pattern, std::string_view replacement) {
  TextRange match = find_pattern(pattern, text, 0);
  if (match.begin == std::string::npos) return;
  std::string edited;
  std::size_t done = 0;
  for (; match.begin != std::string::npos; match = find_pattern(pattern, text, done)) {
    edited.append(text, done, match.begin - done).append(replacement);
    done = match.end;
  }
  text = edited.append(text, done, std::string::npos);
}

NormalizerStep nfc_step() {
  return [](std::string& text) { text = to_nfc(text); };
}

NormalizerStep prepend_step(std::string added) {
  return [added = std::move(added)](std::string& text) {
    if (!text.empty()) text.insert(0, added);
  };
}

NormalizerStep replace_step(Pattern pattern, std::string replacement) {
  return [pattern = std::move(pattern), replacement = std::move(replacement)](std::string& text) {
    replace_all(text, pattern, replacement);
  };
}

}  // namespace qad
