#include "data/tokenizer/nfc.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <unordered_map>
#include <vector>

#include "data/files/utf8.h"

namespace qad {
namespace {

struct Decomposition {
  char32_t whole, first, second = 0;  // second is 0 when there is one part
};
struct CombiningRange {
  char32_t first, last;
  std::uint8_t combining_class;
};
#include "data/tokenizer/nfc_tables.inc"

// Hangul syllables are composed by arithmetic (Unicode, section 3.12).
constexpr char32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28, kSyllableCount = 11172;

constexpr std::uint64_t pair_key(char32_t first, char32_t second) { return std::uint64_t{first} << 32 | second; }

const Decomposition* find_decomposition(char32_t c) {
  const auto within = [c](const auto& table) -> const Decomposition* {
    const auto* at = std::lower_bound(std::begin(table), std::end(table), c,
                                      [](const Decomposition& d, char32_t value) { return d.whole < value; });
    return at != std::end(table) && at->whole == c ? at : nullptr;
  };
  const Decomposition* found = within(kComposed);
  return found != nullptr ? found : within(kOther);
}

std::uint8_t combining_class(char32_t c) {
  const auto* at = std::lower_bound(std::begin(kCombining), std::end(kCombining), c,
                                    [](const CombiningRange& r, char32_t value) { return r.last < value; });
  return at != std::end(kCombining) && at->first <= c ? at->combining_class : std::uint8_t{0};
}

struct Mark {
  char32_t code_point;
  std::uint8_t combining_class;
};

void decompose(char32_t c, std::vector<Mark>& out) {
  if (c - kSyllables < kSyllableCount) {
    const char32_t index = c - kSyllables, tail = index % kTailCount;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + index / kTailCount % kVowelCount, 0});
    if (tail != 0) out.push_back({kTails + tail, 0});
  } else if (const Decomposition* parts = c < 0xc0 ? nullptr : find_decomposition(c)) {
    decompose(parts->first, out);
    if (parts->second != 0) decompose(parts->second, out);
  } else {
    out.push_back({c, combining_class(c)});
  }
}

// The one character for a pair; 0 when there is none.
char32_t compose(char32_t first, char32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount)
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTailCount == 0 &&
      second - kTails - 1 < kTailCount - 1)
    return first + (second - kTails);
  static const auto kPairs = [] {
    std::unordered_map<std::uint64_t, char32_t> pairs;
    for (const Decomposition& d : kComposed) pairs.emplace(pair_key(d.first, d.second), d.whole);
    return pairs;
  }();
  const auto found = kPairs.find(pair_key(first, second));
  return found == kPairs.end() ? 0 : found->second;
}

// No character below U+0300 changes, and none combines with another one below it.
bool is_surely_normal(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xcc; });
}

}  // namespace

std::string to_nfc(std::string_view text) {
  if (is_surely_normal(text)) return std::string(text);
  std::vector<Mark> marks;
  marks.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) decompose(next_code_point(text, at), marks);

  // Canonical order: runs of combining marks sorted by class, stably.
  for (auto begin = marks.begin(); begin != marks.end();) {
    begin = std::find_if(begin, marks.end(), [](const Mark& m) { return m.combining_class != 0; });
    const auto end = std::find_if(begin, marks.end(), [](const Mark& m) { return m.combining_class == 0; });
    std::stable_sort(begin, end, [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    begin = end;
  }

  // A mark joins the last starter unless one of its own class or higher stands between them.
  std::size_t size = 0, starter = 0;
  bool has_starter = false;
  for (const Mark mark : marks) {
    const bool adjacent = has_starter && size == starter + 1;
    if (has_starter && (adjacent || marks[size - 1].combining_class < mark.combining_class)) {
      if (const char32_t whole = compose(marks[starter].code_point, mark.code_point); whole != 0) {
        marks[starter].code_point = whole;
        continue;
      }
    }
    if (mark.combining_class == 0) starter = size, has_starter = true;
    marks[size++] = mark;
  }
  marks.resize(size);

  std::string normal;
  normal.reserve(text.size());
  for (const Mark& mark : marks) append_utf8(normal, mark.code_point);
  return normal;
}

}  // namespace qad
