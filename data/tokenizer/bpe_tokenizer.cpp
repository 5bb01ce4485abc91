#include "data/tokenizer/bpe_tokenizer.h"

#include "autograd/base/atomic_file.h"
#include "data/files/utf8.h"

namespace qad {

void BpeTokenizerParts::add(std::span<const AddedToken> tokens) {
  added.add(tokens, {[this](const std::string& token) { return model.find(token); },
                     static_cast<std::int64_t>(model.vocabulary().size())});
}

std::optional<std::int32_t> BpeTokenizerParts::id_of(const std::string& token) const {
  const auto id = added.id_of(token);
  return id ? id : model.find(token);
}

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts) : parts_(std::move(parts)) {
  const auto set = [this](std::int32_t id, const std::string& text, bool special) {
    const auto at = static_cast<std::size_t>(id);
    if (at >= tokens_.size()) tokens_.resize(at + 1);
    tokens_[at] = {text, true, special};
  };
  for (const auto& [token, id] : parts_.model.vocabulary()) set(id, token, parts_.added.is_special(token));
  for (const auto& [id, token] : parts_.added.by_id()) {
    const bool special = parts_.added.is_special(token.content);
    set(id, token.content, special);
    std::string pattern = token.content;
    if (token.normalized)
      for (const auto& step : parts_.normalizer) step(pattern, TextLimit(parts_.who, token.content.size()));
    (token.normalized ? in_normalized_ : verbatim_).add(id, token, pattern, special && parts_.split_special);
  }
  if (parts_.own_size == 0) parts_.own_size = vocabulary_size();
}

std::vector<std::int32_t> BpeTokenizer::encode(std::string_view text, bool add_special) const {
  check_utf8(text, "text to encode");
  std::vector<std::int32_t> ids;
  if (add_special) ids = parts_.prefix;
  for (const Stretch& outer : verbatim_.split(text)) {
    if (outer.id >= 0) {
      ids.push_back(outer.id);
      continue;
    }
    std::string normal(outer.text);
    const TextLimit limit(parts_.who, outer.text.size());
    for (const auto& step : parts_.normalizer) step(normal, limit);
    const bool first = outer.text.data() == text.data();
    for (const Stretch& inner : in_normalized_.split(normal)) {
      if (inner.id >= 0) ids.push_back(inner.id);
      else encode_stretch(inner.text, first && inner.text.data() == normal.data(), limit, ids);
    }
  }
  if (add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

void BpeTokenizer::encode_stretch(std::string_view text, bool at_start, const TextLimit& limit,
                                  std::vector<std::int32_t>& ids) const {
  std::vector<Piece> pieces{{std::string(text), at_start}};
  for (const auto& step : parts_.pre_tokenizer) step(pieces, limit);
  for (const Piece& piece : pieces) parts_.model.encode(piece.text, ids);
}

std::string BpeTokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary_size()) continue;
    const Token& token = tokens_[static_cast<std::size_t>(id)];
    if (token.known && !(skip_special && token.special)) tokens.push_back(token.text);
  }
  std::size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  for (const auto& step : parts_.decoder) step(tokens, TextLimit(parts_.who, bytes));
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::optional<TokenInfo> BpeTokenizer::token(std::int32_t id) const {
  if (id < 0 || id >= vocabulary_size() || !tokens_[static_cast<std::size_t>(id)].known) return std::nullopt;
  const Token& token = tokens_[static_cast<std::size_t>(id)];
  const auto added = parts_.added.by_id().find(id);
  return TokenInfo{token.text, token.special, added == parts_.added.by_id().end() ? nullptr : &added->second};
}

std::optional<std::int32_t> BpeTokenizer::id_of(std::string_view token) const {
  return parts_.id_of(std::string(token));
}

void BpeTokenizer::save(const std::filesystem::path& folder) const {
  for (const auto& [name, contents] : parts_.files) {
    create_folders((folder / name).parent_path());
    write_file_atomically(folder / name, contents);
  }
}

}  // namespace qad
