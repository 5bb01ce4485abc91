// Which sequences come when. The whole state is one number, so a checkpoint stores it and a resumed run goes on at
// once.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/data_config.h"
#include "data/packing.h"

namespace qad {

/// Deals out sequences without end, epoch after epoch. Shuffled: epoch e is a permutation that depends on the seed and
/// on e alone, so every sequence comes once in an epoch. The order of what comes does not depend on the batch size.
class Loader {
 public:
  /// `sequences` must outlive the loader.
  Loader(const PackedSequences& sequences, DataOrder order, std::uint64_t seed);

  /// The next `batch_size` sequences; a batch may reach into the next epoch.
  [[nodiscard]] TokenBatch next(std::int64_t batch_size);

  /// How many sequences have been dealt out since the start of the run.
  [[nodiscard]] std::int64_t position() const { return position_; }
  void seek(std::int64_t position);
  /// Position in epochs: 1.5 is halfway through the second.
  [[nodiscard]] double epochs() const;

 private:
  [[nodiscard]] std::int64_t sequence_at(std::int64_t position);

  const PackedSequences& sequences_;
  DataOrder order_;
  std::uint64_t seed_;
  std::int64_t position_ = 0;
  std::int64_t shuffled_epoch_ = -1;  ///< which epoch shuffle_ belongs to
  std::vector<std::int64_t> shuffle_;
};

}  // namespace qad
