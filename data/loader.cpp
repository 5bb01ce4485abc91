#include "data/loader.h"

#include "autograd/core/error.h"
#include "autograd/core/random.h"

namespace qad {

Loader::Loader(const PackedSequences& sequences, DataOrder order, std::uint64_t seed)
    : sequences_(sequences), order_(order), seed_(seed) {}

TokenBatch Loader::next(std::int64_t batch_size) {
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < batch_size; ++i) chosen.push_back(sequence_at(position_++));
  return sequences_.batch(chosen);
}

void Loader::seek(std::int64_t position) {
  QAD_ASSERT(position >= 0);
  position_ = position;
}

double Loader::epochs() const { return static_cast<double>(position_) / static_cast<double>(sequences_.count()); }

std::int64_t Loader::sequence_at(std::int64_t position) {
  const std::int64_t epoch = position / sequences_.count(), place = position % sequences_.count();
  if (order_ == DataOrder::sequential) return place;
  if (epoch != shuffled_epoch_) {
    const std::uint64_t stream = stream_of("shuffle") + static_cast<std::uint64_t>(epoch);
    shuffle_ = random_permutation(sequences_.count(), Random(seed_, stream));
    shuffled_epoch_ = epoch;
  }
  return shuffle_[static_cast<std::size_t>(place)];
}

}  // namespace qad
