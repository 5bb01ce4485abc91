// Which sequences come when. The whole state is one number, so a checkpoint stores it and a resumed run goes on at
// once.
#pragma once

#include <cstdint>
#include <vector>

#include "data/text/batch.h"
#include "data/text/data_config.h"
#include "data/text/packing.h"

namespace qad {

/// Deals out sequences without end, epoch after epoch. Shuffled: epoch e is a permutation that depends on the seed and
/// on e alone, so every sequence comes once in an epoch. The order of what comes does not depend on the batch size.
///
/// Of a mixture, each part is dealt out so by itself, in epochs of its own, which go on from one epoch of the mixture
/// to the next; whose turn it is, is again shuffled with the seed and the epoch, or evenly spread where nothing is
/// shuffled.
class Loader {
 public:
  /// `sequences` must outlive the loader.
  Loader(const PackedSequences& sequences, DataOrder order, std::uint64_t seed);

  /// The next `batch_size` sequences; a batch may reach into the next epoch.
  [[nodiscard]] TokenBatch next(std::int64_t batch_size);

  /// The tokens of as many sequences, which are dealt out without being made. Whole epochs are not walked through: each
  /// counts as the one that follows.
  [[nodiscard]] std::int64_t next_tokens(std::int64_t batch_size);

  /// How many sequences have been dealt out since the start of the run.
  [[nodiscard]] std::int64_t position() const { return position_; }
  void seek(std::int64_t position);
  /// Position in epochs: 1.5 is halfway through the second.
  [[nodiscard]] double epochs() const;

 private:
  /// The order of so many things, epoch after epoch: it keeps the epoch that it was asked for last.
  class Order {
   public:
    Order(std::int64_t count, std::uint64_t seed, std::uint64_t stream) : count_(count), seed_(seed), stream_(stream) {}
    [[nodiscard]] std::int64_t at(std::int64_t position);

   private:
    std::int64_t count_;
    std::uint64_t seed_, stream_;
    std::int64_t epoch_ = -1;
    std::vector<std::int64_t> permutation_;
  };
  /// In one epoch of a mixture: whose turn it is, and how many turns of this part came before in the epoch.
  struct Turn {
    std::int32_t part;
    std::int32_t before;
  };

  [[nodiscard]] std::int64_t sequence_at(std::int64_t position);
  [[nodiscard]] std::int64_t sequence_of_part(std::size_t part, std::int64_t position);
  [[nodiscard]] std::vector<Turn> turns_of(std::int64_t epoch) const;

  const PackedSequences& sequences_;
  DataOrder order_;
  std::uint64_t seed_;
  std::int64_t position_ = 0;
  std::vector<Order> orders_;      ///< of each part's sequences
  std::int64_t turns_epoch_ = -1;  ///< of a mixture: which epoch turns_ belongs to
  std::vector<Turn> turns_;
};

}  // namespace qad
