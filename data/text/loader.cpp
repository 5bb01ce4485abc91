#include "data/text/loader.h"

#include <algorithm>
#include <string>

#include "autograd/base/error.h"
#include "autograd/base/random.h"

namespace qad {

Loader::Loader(const PackedSequences& sequences, DataOrder order, std::uint64_t seed)
    : sequences_(sequences), order_(order), seed_(seed) {
  for (std::size_t i = 0; i < sequences.parts().size(); ++i) {
    const PackedSequences::Part& part = sequences.parts()[i];
    const std::string name = i == 0 ? "shuffle" : "shuffle " + std::to_string(i);
    orders_.emplace_back(part.end - part.begin, seed, stream_of(name));
  }
}

TokenBatch Loader::next(std::int64_t batch_size) {
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < batch_size; ++i) chosen.push_back(sequence_at(position_++));
  return sequences_.batch(chosen);
}

std::int64_t Loader::next_tokens(std::int64_t batch_size) {
  const std::int64_t epochs = batch_size / sequences_.in_epoch(), rest = batch_size % sequences_.in_epoch();
  const auto walk = [&](std::int64_t count) {
    std::int64_t tokens = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t sequence = sequence_at(position_++);
      tokens += sequences_.tokens(sequence, sequence + 1);
    }
    return tokens;
  };
  if (epochs == 0) return walk(rest);
  const std::int64_t of_one = walk(sequences_.in_epoch());
  position_ += (epochs - 1) * sequences_.in_epoch();
  return epochs * of_one + walk(rest);
}

void Loader::seek(std::int64_t position) {
  QAD_ASSERT(position >= 0);
  position_ = position;
}

double Loader::epochs() const { return static_cast<double>(position_) / static_cast<double>(sequences_.in_epoch()); }

std::int64_t Loader::Order::at(std::int64_t position) {
  const std::int64_t epoch = position / count_, place = position % count_;
  if (epoch != epoch_) {
    permutation_ = random_permutation(count_, Random(seed_, stream_ + static_cast<std::uint64_t>(epoch)));
    epoch_ = epoch;
  }
  return permutation_[static_cast<std::size_t>(place)];
}

std::int64_t Loader::sequence_at(std::int64_t position) {
  if (orders_.size() == 1) return sequence_of_part(0, position);
  const std::int64_t epoch = position / sequences_.in_epoch(), place = position % sequences_.in_epoch();
  if (turns_.empty() || (order_ == DataOrder::shuffled && epoch != turns_epoch_)) turns_ = turns_of(epoch);
  turns_epoch_ = epoch;
  const Turn turn = turns_[static_cast<std::size_t>(place)];
  const auto part = static_cast<std::size_t>(turn.part);
  return sequence_of_part(part, epoch * sequences_.parts()[part].in_epoch + turn.before);
}

std::int64_t Loader::sequence_of_part(std::size_t i, std::int64_t position) {
  const PackedSequences::Part& part = sequences_.parts()[i];
  return part.begin + (order_ == DataOrder::sequential ? position % (part.end - part.begin) : orders_[i].at(position));
}

std::vector<Loader::Turn> Loader::turns_of(std::int64_t epoch) const {
  const auto& parts = sequences_.parts();
  // Evenly spread: turn t of n stands at (t + 1/2) / n of the epoch.
  std::vector<Turn> turns;
  turns.reserve(static_cast<std::size_t>(sequences_.in_epoch()));
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::int32_t t = 0; t < parts[i].in_epoch; ++t) turns.push_back({static_cast<std::int32_t>(i), t});
  const auto place = [&](const Turn& turn) {
    return (static_cast<double>(turn.before) + 0.5) /
           static_cast<double>(parts[static_cast<std::size_t>(turn.part)].in_epoch);
  };
  if (order_ == DataOrder::sequential) {
    std::ranges::stable_sort(turns, {}, place);
    return turns;
  }
  const auto order =
      random_permutation(std::ssize(turns), Random(seed_, stream_of("mixture") + static_cast<std::uint64_t>(epoch)));
  std::vector<Turn> shuffled;
  shuffled.reserve(turns.size());
  std::vector<std::int32_t> before(parts.size(), 0);  // a part's own order stays
  for (const std::int64_t turn : order) {
    const std::int32_t part = turns[static_cast<std::size_t>(turn)].part;
    shuffled.push_back({part, before[static_cast<std::size_t>(part)]++});
  }
  return shuffled;
}

}  // namespace qad
