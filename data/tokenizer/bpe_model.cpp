#include "data/tokenizer/bpe_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "autograd/base/error.h"
#include "data/files/utf8.h"

namespace qad {
namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, BpeOptions options, std::string who)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), who_(std::move(who)) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte < 128) ascii_.push_back(find(std::string(1, static_cast<char>(byte))).value_or(-1));
    bytes_.push_back(find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
  if (options_.unk_token.empty()) return;
  unk_ = find(options_.unk_token);
  if (!unk_)
    throw Error(
        {.who = who_, .expected = "an unknown token that is in the vocabulary", .got = in_quotes(options_.unk_token)});
}

std::optional<std::int32_t> BpeModel::find(const std::string& token) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end()) return std::nullopt;
  return found->second;
}

void BpeModel::add_merge(std::string_view left, std::string_view right, std::int32_t rank) {
  const auto id = [&](std::string token) {
    const auto found = find(token);
    if (!found)
      throw Error(
          {.who = who_,
           .expected = "merges of tokens that are in the vocabulary",
           .got = fmt::format("{} in the merge of {} and {}", in_quotes(token), in_quotes(left), in_quotes(right)),
           .hint = "do the files belong together?"});
    return *found;
  };
  const std::int32_t whole = id(std::string(left) + std::string(right));
  merges_.insert_or_assign(pair_key(id(std::string(left)), id(std::string(right))), Merge{rank, whole});
}

const BpeModel::Merge* BpeModel::find_merge(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

std::vector<std::int32_t> BpeModel::characters(std::string_view text) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size());
  std::string character;
  bool after_unknown = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text[at]);
    std::int32_t id = length == 1 ? ascii_[static_cast<unsigned char>(text[at])] : -1;
    character.assign(text, at, length);
    if (length > 1) id = find(character).value_or(-1);
    at += length;
    if (id >= 0) {
      ids.push_back(id);
      after_unknown = false;
      continue;
    }
    const auto byte_id = [this](char c) { return bytes_[static_cast<unsigned char>(c)]; };
    if (options_.byte_fallback &&
        std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : character) ids.push_back(byte_id(c));
      after_unknown = false;
    } else if (unk_) {
      if (!(options_.fuse_unk && after_unknown)) ids.push_back(*unk_);
      after_unknown = true;
    }
  }
  return ids;
}

void BpeModel::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = find(std::string(text))) {
      ids.push_back(*whole);
      return;
    }
  }
  merge(characters(text), ids);
}

// Symbols form a linked list; a queue holds the merges of neighbours. A merge in the queue is stale when one of its
// symbols has gone or changed, which shows in the pair that now stands at its place.
void BpeModel::merge(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& ids) const {
  struct Symbol {
    std::int32_t id, previous, next;  // id -1: merged into its left neighbour
  };
  struct Candidate {
    std::int32_t rank, position, id;
    bool operator<(const Candidate& other) const {  // priority_queue pops the largest
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<Symbol> list;
  list.reserve(symbols.size());
  for (std::int32_t i = 0; i < count; ++i)
    list.push_back({symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  const auto at = [&](std::int32_t i) -> Symbol& { return list[static_cast<std::size_t>(i)]; };

  std::priority_queue<Candidate> queue;
  const auto propose = [&](std::int32_t position) {
    if (position < 0 || at(position).next < 0) return;
    if (const Merge* merge = find_merge(at(position).id, at(at(position).next).id))
      queue.push({merge->rank, position, merge->id});
  };
  for (std::int32_t i = 0; i + 1 < count; ++i) propose(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.position);
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = at(left.next);
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = merge->id;
    right.id = -1;
    left.next = right.next;
    if (right.next >= 0) at(right.next).previous = best.position;
    propose(left.previous);
    propose(best.position);
  }
  for (const Symbol& symbol : list)
    if (symbol.id >= 0) ids.push_back(symbol.id);
}

}  // namespace qad
