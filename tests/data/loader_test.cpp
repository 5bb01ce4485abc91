// The order of sequences: complete, repeatable, and the same after a seek as without one.
#include "data/text/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

// `count` sequences of one token, whose id is the sequence's number.
PackedSequences numbered(std::int32_t count) {
  Documents documents;
  for (std::int32_t i = 0; i < count; ++i) documents.add(Ids{i});
  return PackedSequences(std::move(documents), Packing::documents, 1);
}

Ids epoch(Loader& loader, std::int64_t count, std::int64_t batch_size) {
  Ids ids;
  for (std::int64_t i = 0; i < count; i += batch_size) {
    const Ids next = loader.next(batch_size).ids;
    ids.insert(ids.end(), next.begin(), next.end());
  }
  return ids;
}

TEST(Loader, ShufflesEverySequenceOnceAnEpoch) {
  const PackedSequences sequences = numbered(100);
  Loader loader(sequences, DataOrder::shuffled, 7);
  const Ids first = epoch(loader, 100, 10), second = epoch(loader, 100, 10);
  EXPECT_DOUBLE_EQ(loader.epochs(), 2.0);
  EXPECT_NE(first, second);
  for (Ids ids : {first, second}) {
    EXPECT_FALSE(std::is_sorted(ids.begin(), ids.end()));
    std::sort(ids.begin(), ids.end());
    Ids all(100);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(ids, all);
  }
}

TEST(Loader, OrderDependsOnTheSeedAndNotOnTheBatchSize) {
  const PackedSequences sequences = numbered(60);
  Loader by_four(sequences, DataOrder::shuffled, 7), by_ten(sequences, DataOrder::shuffled, 7);
  Loader other(sequences, DataOrder::shuffled, 8);
  const Ids ids = epoch(by_four, 120, 4);
  EXPECT_EQ(ids, epoch(by_ten, 120, 10));
  EXPECT_NE(ids, epoch(other, 120, 4));
}

TEST(Loader, SeekResumesExactly) {
  const PackedSequences sequences = numbered(17);
  Loader undisturbed(sequences, DataOrder::shuffled, 3);
  for (int step = 0; step < 40; ++step) {  // over several epochs, whose ends fall inside batches
    Loader resumed(sequences, DataOrder::shuffled, 3);
    resumed.seek(undisturbed.position());
    EXPECT_EQ(resumed.next(5).ids, undisturbed.next(5).ids) << step;
    EXPECT_EQ(resumed.position(), undisturbed.position());
  }
}

TEST(Loader, SequentialOrderStartsOverAtTheEnd) {
  const PackedSequences sequences = numbered(5);
  Loader loader(sequences, DataOrder::sequential, 1);
  EXPECT_EQ(loader.next(3).ids, (Ids{0, 1, 2}));
  EXPECT_EQ(loader.next(3).ids, (Ids{3, 4, 0}));
}

}  // namespace
}  // namespace qad
