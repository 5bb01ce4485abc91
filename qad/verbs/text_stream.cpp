#include "qad/verbs/text_stream.h"

#include <ostream>
#include <string_view>

namespace qad::verbs {

void TextStream::add(const std::vector<std::int32_t>& ids) {
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  // The whole text again, because what a token adds depends on those before it (white space, split characters).
  const std::string text = tokenizer_.decode(ids_);
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::size_t certain = text.size();
  while (std::string_view(text).substr(0, certain).ends_with(kReplacement)) certain -= kReplacement.size();
  write_up_to(text, certain);
}

void TextStream::finish() {
  const std::string text = tokenizer_.decode(ids_);
  write_up_to(text, text.size());
}

void TextStream::write_up_to(const std::string& text, std::size_t end) {
  if (end <= written_) return;
  out_ << std::string_view(text).substr(written_, end - written_) << std::flush;
  written_ = end;
}

}  // namespace qad::verbs
