#include "data/text/shared_documents.h"

#include <algorithm>
#include <unordered_set>

#include "data/files/hash.h"

namespace qad {
namespace {

using Ids = std::span<const std::int32_t>;

std::uint64_t hash_of(Ids document) { return hash64(std::as_bytes(document)); }

// Whether one begins with the other, and that is long enough to be no accident.
bool is_beginning(Ids a, Ids b) {
  const auto shorter = std::min(a.size(), b.size());
  return static_cast<std::int64_t>(shorter) >= kEnoughTokens && std::ranges::equal(a.first(shorter), b.first(shorter));
}

}  // namespace

std::int64_t count_shared(const Documents& held_out, const Documents& training) {
  if (held_out.count() == 0 || training.count() == 0) return 0;
  std::unordered_set<std::uint64_t> seen;
  for (std::int64_t i = 0; i < training.count(); ++i) seen.insert(hash_of(training[i]));
  std::vector<bool> shared;
  for (std::int64_t i = 0; i < held_out.count(); ++i)
    shared.push_back(seen.contains(hash_of(held_out[i])) || is_beginning(held_out[i], training[training.count() - 1]));
  const Ids last = held_out[held_out.count() - 1];
  for (std::int64_t i = 0; i < training.count() && !shared.back(); ++i) shared.back() = is_beginning(last, training[i]);
  return std::ranges::count(shared, true);
}

}  // namespace qad
