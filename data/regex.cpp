#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/regex.h"

#include <pcre2.h>

#include "autograd/core/error.h"

namespace qad {
namespace {

/// Tokenizer files mean Unicode's White_Space by \s; PCRE2 also counts U+180E.
std::string with_unicode_space(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char escaped = pattern[i] == '\\' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (escaped == 's') out += "\\p{White_Space}";
    else if (escaped == 'S') out += "\\P{White_Space}";
    else if (escaped != '\0') out.append(pattern, i, 2);
    else out += pattern[i];
    if (escaped != '\0') ++i;
  }
  return out;
}

std::string reason(int code) {
  std::string text(256, '\0');
  const int length = pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(text.data()), text.size());
  text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return text;
}

struct MatchData {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  MatchData() = default;
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  ~MatchData() { pcre2_match_data_free(data); }
};

}  // namespace

Regex::Regex(std::string_view pattern, std::string_view who) : who_(who) {
  const std::string translated = with_unicode_space(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (code == nullptr)
    throw Error(
        {who_, "a regular expression that PCRE2 understands", '\'' + std::string(pattern) + "': " + reason(error), ""});
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // only for speed: without it pcre2_match interprets
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from) const {
  thread_local const MatchData match;
  // The caller has checked the text; checking it again at every match would make a split quadratic.
  const int found = pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.data, nullptr);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) throw Error({who_, "a pattern that matches within PCRE2's limits", reason(found), ""});
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.data);
  return TextRange{range[0], range[1]};
}

}  // namespace qad
