// How text is cut in pieces before byte-pair encoding.
#include <array>

#include "data/files/utf8.h"
#include "data/tokenizer/tokenizer_stages.h"

namespace qad {
namespace {

struct Cut {
  TextRange range;
  bool is_match;
};

// Matches and what lies between them, in order, without gaps.
std::vector<Cut> cuts(std::string_view text, const Pattern& pattern, bool invert) {
  std::vector<Cut> out;
  std::size_t done = 0;
  Matches matches(pattern, text);
  while (const auto match = matches.next()) {
    if (match->begin > done) out.push_back({{done, match->begin}, invert});
    out.push_back({*match, !invert});
    done = match->end;
  }
  if (done < text.size()) out.push_back({{done, text.size()}, invert});
  return out;
}

// Of matches in a row only the one that touches the text is merged with it.
std::vector<TextRange> arrange(const std::vector<Cut>& cuts, SplitBehavior behavior) {
  std::vector<TextRange> out;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    const bool previous_match = i > 0 && cuts[i - 1].is_match;
    bool joins_previous = false;
    switch (behavior) {
      case SplitBehavior::removed:
        if (cuts[i].is_match) continue;
        break;
      case SplitBehavior::isolated: break;
      case SplitBehavior::contiguous: joins_previous = cuts[i].is_match == previous_match; break;
      case SplitBehavior::merged_with_previous: joins_previous = cuts[i].is_match && !previous_match; break;
      case SplitBehavior::merged_with_next: joins_previous = previous_match && !cuts[i].is_match; break;
    }
    if (joins_previous && !out.empty()) out.back().end = cuts[i].range.end;
    else out.push_back(cuts[i].range);
  }
  return out;
}

void split_piece(const Piece& piece, const Pattern& pattern, SplitBehavior behavior, bool invert,
                 std::vector<Piece>& out) {
  if (behavior == SplitBehavior::isolated) {  // the common case, without lists in between
    std::size_t done = 0;
    const auto put = [&](std::size_t end) {
      if (end > done) out.push_back({piece.text.substr(done, end - done), piece.at_start && done == 0});
      done = end;
    };
    Matches matches(pattern, piece.text);
    while (const auto match = matches.next()) {
      put(match->begin);
      put(match->end);
    }
    put(piece.text.size());
    return;
  }
  for (const TextRange& range : arrange(cuts(piece.text, pattern, invert), behavior))
    if (range.begin < range.end)
      out.push_back({piece.text.substr(range.begin, range.end - range.begin), piece.at_start && range.begin == 0});
}

void split_pieces(std::vector<Piece>& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  std::vector<Piece> out;
  for (const Piece& piece : pieces) split_piece(piece, pattern, behavior, invert, out);
  pieces = std::move(out);
}

// Bytes that print as themselves in Latin-1 stand for themselves; the others follow from U+0100 on (GPT-2,
// encoder.py).
std::array<std::string, 256> make_byte_characters() {
  std::array<std::string, 256> characters;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
    append_utf8(characters[byte], prints ? byte : next++);
  }
  return characters;
}

}  // namespace

const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

const std::string& byte_character(unsigned char byte) {
  static const std::array<std::string, 256> kCharacters = make_byte_characters();
  return kCharacters[byte];
}

PreTokenizerStep split_step(Pattern pattern, SplitBehavior behavior, bool invert) {
  return [=](std::vector<Piece>& pieces, const TextLimit&) { split_pieces(pieces, pattern, behavior, invert); };
}

PreTokenizerStep metaspace_step(std::string mark, PrependScheme prepend, bool split) {
  return [=, mark = std::move(mark)](std::vector<Piece>& pieces, const TextLimit& limit) {
    for (Piece& piece : pieces) {
      replace_all(piece.text, " ", mark, limit);
      const bool wanted = prepend == PrependScheme::always || (prepend == PrependScheme::first && piece.at_start);
      if (wanted && !piece.text.empty() && !piece.text.starts_with(mark)) piece.text.insert(0, mark);
    }
    if (split) split_pieces(pieces, mark, SplitBehavior::merged_with_next, false);
  };
}

PreTokenizerStep byte_level_step(bool add_prefix_space, bool use_regex) {
  const Pattern words = Regex(kGpt2Pattern, "ByteLevel");
  return [=](std::vector<Piece>& pieces, const TextLimit& limit) {
    if (add_prefix_space)
      for (Piece& piece : pieces)
        if (!piece.text.empty() && piece.text[0] != ' ') piece.text.insert(0, 1, ' ');
    if (use_regex) split_pieces(pieces, words, SplitBehavior::isolated, false);
    std::string characters;
    std::size_t bytes = 0;
    for (Piece& piece : pieces) {
      characters.clear();
      for (const char byte : piece.text) characters += byte_character(static_cast<unsigned char>(byte));
      piece.text = characters;
      limit.check(bytes += characters.size());
    }
  };
}

}  // namespace qad
