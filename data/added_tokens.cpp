#include "data/added_tokens.h"

#include <algorithm>
#include <functional>

#include "data/utf8.h"

namespace qad {
namespace {

bool is_word(std::string_view character) {
  static const Regex kWord("^[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]", "word character");
  return kWord.find(character, 0).has_value();
}

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = begin;
  while (before > 0 && (static_cast<unsigned char>(text[--before]) & 0xc0u) == 0x80u) {
  }
  return (begin > 0 && is_word(text.substr(before, begin - before))) ||
         (end < text.size() && is_word(text.substr(end)));
}

}  // namespace

void AddedTokens::add(const AddedToken& token, std::string pattern) {
  if (pattern.empty()) return;
  auto& lengths = lengths_[static_cast<unsigned char>(pattern[0])];
  const auto at = std::lower_bound(lengths.begin(), lengths.end(), pattern.size(), std::greater<>());
  if (at == lengths.end() || *at != pattern.size()) lengths.insert(at, pattern.size());
  tokens_.insert_or_assign(std::move(pattern), token);
}

const AddedToken* AddedTokens::match_at(std::string_view text, std::size_t at, std::size_t& length) const {
  for (const std::size_t candidate : lengths_[static_cast<unsigned char>(text[at])]) {
    if (at + candidate > text.size()) continue;
    const auto found = tokens_.find(std::string(text.substr(at, candidate)));
    if (found == tokens_.end()) continue;
    length = candidate;
    return &found->second;
  }
  return nullptr;
}

std::vector<Stretch> AddedTokens::split(std::string_view text) const {
  std::vector<Stretch> stretches;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    const AddedToken* token = match_at(text, at, length);
    std::size_t begin = at, end = at + length;
    at = end;
    if (token == nullptr || (token->single_word && touches_word(text, begin, end))) continue;
    if (token->lstrip) begin = std::max(done, begin - trailing_white_space(text.substr(0, begin)));
    if (token->rstrip) end += leading_white_space(text.substr(end));
    if (begin > done) stretches.push_back({text.substr(done, begin - done), -1});
    stretches.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) stretches.push_back({text.substr(done), -1});
  return stretches;
}

}  // namespace qad
