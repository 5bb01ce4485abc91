#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <cctype>

#include "autograd/base/error.h"
#include "data/files/utf8.h"

namespace qad {
namespace {

constexpr std::string_view kHint =
    "tokenize with the original tokenizer and give the ids as HDF5 (data.train.token_file)";

// Writes a pattern of Oniguruma's in PCRE2's words, and refuses what has no others.
class Translator {
 public:
  Translator(std::string_view pattern, std::string_view who) : pattern_(pattern), who_(who) {}

  [[nodiscard]] std::string run() {
    while (at_ < pattern_.size()) {
      const std::string_view rest = pattern_.substr(at_);
      if (rest[0] == '\\' && rest.size() > 1) escape(rest[1]);
      else if (in_class_) inside_class(rest);
      else if (rest[0] == '[') open_class(rest);
      else if (rest.starts_with("(?")) group_options(rest);
      else if (rest[0] == '{') repetition(rest);
      else copy(1);
    }
    return std::move(out_);
  }

 private:
  void copy(std::size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }
  void put(std::string_view text, std::size_t bytes) {
    out_ += text;
    at_ += bytes;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error({.who = std::string(who_),
                 .expected = "a regular expression without " + what,
                 .got = in_quotes(pattern_),
                 .hint = std::string(kHint)});
  }

  // White space is Unicode's, where PCRE2 also counts U+180E; a word character is what Oniguruma counts as one.
  void escape(char kind) {
#define QAD_WORD_IN_CLASS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define QAD_WORD QAD_WORD_IN_CLASS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
    const auto either = [&](std::string_view inside, std::string_view outside) {
      put(in_class_ ? inside : outside, 2);
    };
    switch (kind) {
      case 's': return put("\\p{White_Space}", 2);
      case 'S': return put("\\P{White_Space}", 2);
      case 'v': return put("\\x0b", 2);
      case 'h': return either("0-9A-Fa-f", "[0-9A-Fa-f]");
      case 'w': return either(QAD_WORD_IN_CLASS, "[" QAD_WORD "]");
      case 'b': return either("\\b", "(?:(?<=[" QAD_WORD "])(?![" QAD_WORD "])|(?<![" QAD_WORD "])(?=[" QAD_WORD "]))");
      case 'B': return either("\\B", "(?:(?<=[" QAD_WORD "])(?=[" QAD_WORD "])|(?<![" QAD_WORD "])(?![" QAD_WORD "]))");
      case 'H':
      case 'W':
        if (in_class_) refuse(std::string("\\") + kind + " in a class");
        return put(kind == 'H' ? "[^0-9A-Fa-f]" : "[^" QAD_WORD "]", 2);
      case 'Q':
      case 'E': refuse(std::string("\\") + kind);
      default: return copy(length_of_escape());
    }
#undef QAD_WORD
#undef QAD_WORD_IN_CLASS
  }

  // \p{L} and its like whole: its braces are no repetition.
  [[nodiscard]] std::size_t length_of_escape() const {
    const std::size_t end =
        at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{' ? pattern_.find('}', at_) : pattern_.npos;
    return std::string_view("pPxokgN").find(pattern_[at_ + 1]) != std::string_view::npos && end != pattern_.npos
               ? end + 1 - at_
               : 2;
  }

  void open_class(std::string_view rest) {
    in_class_ = true;
    std::size_t begin = rest.size() > 1 && rest[1] == '^' ? 2 : 1;
    if (rest.size() > begin && rest[begin] == ']') ++begin;  // stands for itself
    copy(begin);
  }

  void inside_class(std::string_view rest) {
    if (rest.starts_with("&&")) refuse("&& in a class");
    if (rest[0] == '[') refuse(rest.starts_with("[:") ? "[: :]" : "a class within a class");
    if (rest[0] == ']') in_class_ = false;
    copy(1);
  }

  // (?m) is what PCRE2 calls (?s); ^ and $ are at every line in any case.
  void group_options(std::string_view rest) {
    const std::size_t end = rest.find_first_not_of("imx-", 2);
    if (end == 2 || end == std::string_view::npos || (rest[end] != ':' && rest[end] != ')')) return copy(2);
    std::string options(rest.substr(0, end));
    if (options.find('i') < options.find('-')) check_letters();
    std::ranges::replace(options, 'm', 's');
    put(options, end);
  }

  // Oniguruma takes some letters for two others when case counts for nothing: U+00DF for ss.
  void check_letters() const {
    std::string lower(pattern_);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const char* two : {"ss", "st", "ff", "fi", "fl"})
      if (lower.find(two) != std::string::npos) refuse("(?i) with " + std::string(two));
  }

  void repetition(std::string_view rest) {
    const std::size_t end = rest.find_first_not_of("0123456789,", 1);
    if (end > 1 && end != std::string_view::npos && rest[end] == '}') {
      const std::string_view after = rest.substr(end + 1);
      const bool exact = rest.substr(0, end).find(',') == std::string_view::npos;
      if (rest[1] == ',') refuse("{,n}");
      if (after.starts_with('+') || (after.starts_with('?') && exact)) refuse("a sign after {n,m}");
    }
    copy(1);
  }

  std::string_view pattern_, who_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

std::string reason(int code) {
  std::string text(256, '\0');
  const int length = pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(text.data()), text.size());
  text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return text;
}

// What a thread matches with.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  Scratch() { pcre2_set_heap_limit(context, 1 << 19); }  // half a GiB
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

// Steps of backtracking for one match: what patterns of tokenizers need grows with the text, what one that goes astray
// needs doubles with every character.
std::uint32_t most_steps(std::size_t bytes) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(100'000 + 16 * bytes, 2'000'000'000));
}

}  // namespace

Regex::Regex(std::string_view pattern, std::string_view who) : who_(who) {
  const std::string translated = Translator(pattern, who).run();
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
  if (code == nullptr)
    throw Error({.who = who_,
                 .expected = "a regular expression that PCRE2 understands",
                 .got = in_quotes(pattern) + ": " + reason(error),
                 .hint = std::string(kHint)});
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // only for speed: without it pcre2_match interprets
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from) const {
  thread_local const Scratch scratch;
  pcre2_set_match_limit(scratch.context, most_steps(text.size() - from));
  const auto match = [&](std::uint32_t options) {
    // The caller has checked the text; checking it again at every match would make a split quadratic.
    return pcre2_match(static_cast<const pcre2_code*>(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                       text.size(), from, PCRE2_NO_UTF_CHECK | options, scratch.data, scratch.context);
  };
  int found = match(0);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);  // slower, with room on the heap
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0)
    throw Error(
        {.who = who_,
         .expected = "a regular expression that finds its way in a text of " + std::to_string(text.size()) + " bytes",
         .got = reason(found),
         .hint = std::string(kHint)});
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(scratch.data);
  return TextRange{range[0], range[1]};
}

}  // namespace qad
