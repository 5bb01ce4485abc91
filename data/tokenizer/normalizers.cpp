// How text is edited before it is cut; finding and replacing patterns.
#include "autograd/base/error.h"
#include "data/files/utf8.h"
#include "data/tokenizer/nfc.h"
#include "data/tokenizer/tokenizer_stages.h"

namespace qad {

std::optional<TextRange> Matches::next() {
  while (from_ <= text_.size()) {
    std::optional<TextRange> match;
    if (const auto* regex = std::get_if<Regex>(&pattern_)) {
      match = regex->find(text_, from_);
    } else {
      const std::string& literal = std::get<std::string>(pattern_);
      const std::size_t at = text_.find(literal, from_);
      if (at != std::string_view::npos) match = TextRange{at, at + literal.size()};
    }
    if (!match) break;
    if (match->begin == match->end && last_end_ == match->end) {  // the next one begins a character later
      from_ += from_ < text_.size() ? utf8_length(text_[from_]) : 1;
      continue;
    }
    from_ = match->end;
    last_end_ = match->end;
    return match;
  }
  from_ = text_.size() + 1;
  return std::nullopt;
}

void TextLimit::check(std::size_t bytes) const {
  if (bytes <= most_) return;
  throw Error({.who = std::string(who_),
               .expected = "stages that write at most 64 bytes for one of a text",
               .got = "more",
               .hint = "do its Replace or Prepend steps feed each other?"});
}

void replace_all(std::string& text, const Pattern& pattern, std::string_view replacement, const TextLimit& limit) {
  if (text.empty()) return;
  Matches matches(pattern, text);
  std::optional<TextRange> match = matches.next();
  if (!match) return;
  std::string edited;
  std::size_t done = 0;
  for (; match; match = matches.next()) {
    edited.append(text, done, match->begin - done).append(replacement);
    limit.check(edited.size());
    done = match->end;
  }
  edited.append(text, done, std::string::npos);
  limit.check(edited.size());
  text = std::move(edited);
}

NormalizerStep nfc_step() {
  return [](std::string& text, const TextLimit&) { text = to_nfc(text); };
}

NormalizerStep prepend_step(std::string added) {
  return [added = std::move(added)](std::string& text, const TextLimit& limit) {
    if (!text.empty()) text.insert(0, added);
    limit.check(text.size());
  };
}

NormalizerStep replace_step(Pattern pattern, std::string replacement) {
  return [pattern = std::move(pattern), replacement = std::move(replacement)](
             std::string& text, const TextLimit& limit) { replace_all(text, pattern, replacement, limit); };
}

}  // namespace qad
