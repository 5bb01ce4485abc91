#include "data/bpe_tokenizer.h"

#include "autograd/core/atomic_file.h"
#include "data/utf8.h"

namespace qad {

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts) : parts_(std::move(parts)) {
  const auto set = [this](std::int32_t id, const std::string& text, bool special) {
    const auto at = static_cast<std::size_t>(id);
    if (at >= tokens_.size()) tokens_.resize(at + 1);
    tokens_[at] = {text, true, special};
  };
  for (const auto& [token, id] : parts_.model.vocabulary()) set(id, token, false);
  for (const AddedToken& token : parts_.added_tokens) {
    set(token.id, token.content, token.special);
    added_ids_.insert_or_assign(token.content, token.id);
    std::string pattern = token.content;
    if (token.normalized)
      for (const auto& step : parts_.normalizer) step(pattern);
    (token.normalized ? in_normalized_ : verbatim_).add(token, pattern);
  }
  for (const auto id : {parts_.bos, parts_.eos})
    if (id && *id >= 0 && *id < vocabulary_size()) tokens_[static_cast<std::size_t>(*id)].special = true;
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
    for (const auto& step : parts_.normalizer) step(normal);
    const bool first = outer.text.data() == text.data();
    for (const Stretch& inner : in_normalized_.split(normal)) {
      if (inner.id >= 0) ids.push_back(inner.id);
      else encode_stretch(inner.text, first && inner.text.data() == normal.data(), ids);
    }
  }
  if (add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

void BpeTokenizer::encode_stretch(std::string_view text, bool at_start, std::vector<std::int32_t>& ids) const {
  std::vector<Piece> pieces{{std::string(text), at_start}};
  for (const auto& step : parts_.pre_tokenizer) step(pieces);
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
  for (const auto& step : parts_.decoder) step(tokens);
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::optional<std::int32_t> BpeTokenizer::id_of(std::string_view token) const {
  const std::string key(token);
  if (const auto added = added_ids_.find(key); added != added_ids_.end()) return added->second;
  return parts_.model.find(key);
}

void BpeTokenizer::save(const std::filesystem::path& folder) const {
  for (const auto& [name, contents] : parts_.files) {
    create_folders((folder / name).parent_path());
    write_file_atomically(folder / name, contents);
  }
}

}  // namespace qad
