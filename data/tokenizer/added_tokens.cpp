#include "data/tokenizer/added_tokens.h"

#include <algorithm>

#include "data/files/utf8.h"

namespace qad {
namespace {

bool is_word(std::string_view character) {
  static const Regex kWord("\\A[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]", "word character");
  return kWord.find(character.substr(0, utf8_length(character[0])), 0).has_value();
}

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = begin;
  while (before > 0 && (static_cast<unsigned char>(text[--before]) & 0xc0u) == 0x80u) {
  }
  return (begin > 0 && is_word(text.substr(before, begin - before))) ||
         (end < text.size() && is_word(text.substr(end)));
}

}  // namespace

void AddedVocabulary::add(std::span<const AddedToken> tokens, const Base& base) {
  const std::int64_t after_added = by_id_.empty() ? 0 : std::int64_t{by_id_.rbegin()->first} + 1;
  auto next = static_cast<std::int32_t>(std::max(base.size, after_added));
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    std::optional<std::int32_t> id = id_of(token.content);
    if (!id) id = base.find(token.content);
    if (!id) id = next++;
    ids_.insert_or_assign(token.content, *id);
    by_id_.insert_or_assign(*id, token);
    if (token.special) special_.insert(token.content);
  }
}

std::optional<std::int32_t> AddedVocabulary::id_of(const std::string& content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void AddedTokens::add(std::int32_t id, const AddedToken& token, const std::string& pattern, bool passed_over) {
  if (pattern.empty()) return;
  const auto fresh = [this] {
    nodes_.emplace_back();
    return static_cast<std::int32_t>(nodes_.size()) - 1;
  };
  std::int32_t& tree = first_[static_cast<unsigned char>(pattern[0])];
  if (tree < 0) tree = fresh();
  auto node = static_cast<std::size_t>(tree);
  for (std::size_t i = 1; i < pattern.size(); ++i) {
    const auto next = nodes_[node].next.find(pattern[i]);
    const std::int32_t child = next != nodes_[node].next.end() ? next->second : fresh();
    nodes_[node].next.insert_or_assign(pattern[i], child);
    node = static_cast<std::size_t>(child);
  }
  nodes_[node].target = static_cast<std::int32_t>(targets_.size());
  targets_.push_back({id, token, passed_over});
}

const AddedTokens::Target* AddedTokens::match_at(std::string_view text, std::size_t at, std::size_t& length) const {
  const Target* found = nullptr;
  std::int32_t node = first_[static_cast<unsigned char>(text[at])];
  for (std::size_t end = at + 1; node >= 0; ++end) {
    const Node& here = nodes_[static_cast<std::size_t>(node)];
    if (here.target >= 0) {
      found = &targets_[static_cast<std::size_t>(here.target)];
      length = end - at;
    }
    if (end == text.size()) break;
    const auto next = here.next.find(text[end]);
    node = next == here.next.end() ? -1 : next->second;
  }
  return found;
}

std::vector<Stretch> AddedTokens::split(std::string_view text) const {
  std::vector<Stretch> stretches;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    const Target* target = match_at(text, at, length);
    std::size_t begin = at, end = at + length;
    at = end;
    if (target == nullptr || target->passed_over) continue;
    const AddedToken& token = target->token;
    if (token.single_word && touches_word(text, begin, end)) continue;
    if (token.lstrip) begin = begin > done ? begin - trailing_white_space(text.substr(done, begin - done)) : done;
    if (token.rstrip) end += leading_white_space(text.substr(end));
    if (begin >= end) continue;  // the token before has taken it as white space
    if (begin > done) stretches.push_back({text.substr(done, begin - done), -1});
    stretches.push_back({text.substr(begin, end - begin), target->id});
    done = end;
  }
  if (done < text.size()) stretches.push_back({text.substr(done), -1});
  return stretches;
}

}  // namespace qad
