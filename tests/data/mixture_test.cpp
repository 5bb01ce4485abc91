// Mixtures: every part's share of the tokens, the same order at any batch size and after a resume, and a single source
// dealt out as ever.
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "data/text/loader.h"
#include "tests/support/error_of.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

// One part: `count` documents of `length` tokens, whose ids are 1000 · part + document.
struct PartSpec {
  std::int32_t count, length;
  double weight;
};

Documents mixed(const std::vector<PartSpec>& specs) {
  Documents documents;
  documents.source = "data.train";
  for (std::size_t part = 0; part < specs.size(); ++part) {
    for (std::int32_t i = 0; i < specs[part].count; ++i)
      documents.add(Ids(static_cast<std::size_t>(specs[part].length), static_cast<std::int32_t>(1000 * part) + i));
    documents.parts.push_back({documents.count(), specs[part].weight, "part " + std::to_string(part)});
  }
  return documents;
}

PackedSequences packed(const std::vector<PartSpec>& specs, std::int64_t length = 8,
                       Packing packing = Packing::documents) {
  return {mixed(specs), packing, length};
}

// The ids of the next sequences, each of one document.
Ids deal(Loader& loader, std::int64_t sequences, std::int64_t batch_size = 1) {
  Ids ids;
  for (std::int64_t done = 0; done < sequences; done += batch_size) {
    const TokenBatch batch = loader.next(std::min(batch_size, sequences - done));
    for (const Segment& segment : batch.segments) ids.push_back(batch.ids[static_cast<std::size_t>(segment.begin)]);
  }
  return ids;
}

std::vector<std::int64_t> turns_in_epoch(const PackedSequences& sequences) {
  std::vector<std::int64_t> turns;
  for (const PackedSequences::Part& part : sequences.parts()) turns.push_back(part.in_epoch);
  return turns;
}

TEST(Mixture, WeightsAreSharesOfTokens) {
  using Turns = std::vector<std::int64_t>;
  EXPECT_EQ(turns_in_epoch(packed({{10, 8, 1}, {10, 8, 1}})), (Turns{10, 10}));
  EXPECT_EQ(turns_in_epoch(packed({{10, 8, 3}, {10, 8, 1}})), (Turns{30, 10}));  // the first comes three times
  EXPECT_EQ(turns_in_epoch(packed({{40, 8, 3}, {10, 8, 1}})), (Turns{40, 13}));
  EXPECT_EQ(turns_in_epoch(packed({{10, 8, 1}, {10, 4, 1}}, 4)), (Turns{20, 20}));  // 2 · 10 sequences of 4 tokens
  EXPECT_EQ(turns_in_epoch(packed({{16, 7, 1}, {16, 3, 1}}, 7)), (Turns{16, 19}));  // 112 tokens: 19 · 6 = 114
  EXPECT_EQ(turns_in_epoch(packed({{10, 8, 1}, {1, 8, 1e-3}})), (Turns{1000, 1}));  // no part is left out
  EXPECT_EQ(packed({{10, 8, 3}, {10, 8, 1}}).in_epoch(), 40);
  EXPECT_EQ(packed({{10, 8, 3}, {10, 8, 1}}).count(), 20);
}

TEST(Mixture, ASequenceHoldsOnePartAlone) {
  const PackedSequences sequences = packed({{3, 2, 1}, {3, 2, 1}}, 8);
  ASSERT_EQ(sequences.count(), 2);  // three documents of two tokens each, though a fourth would fit
  EXPECT_EQ(sequences.batch(0, 1).ids, (Ids{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(sequences.batch(1, 2).ids, (Ids{1000, 1000, 1001, 1001, 1002, 1002}));
  const PackedSequences windows = packed({{3, 3, 1}, {3, 3, 1}}, 4, Packing::concatenate);
  ASSERT_EQ(windows.count(), 4);  // a token is left over in each
  EXPECT_EQ(windows.batch(1, 2).ids, (Ids{1, 1, 2, 2}));
  EXPECT_EQ(windows.batch(2, 3).ids, (Ids{1000, 1000, 1000, 1001}));
  EXPECT_EQ(windows.batch(0, 4).document, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(Mixture, AnEpochHasTheSharesAndEveryPartComesInItsOwnEpochs) {
  const PackedSequences sequences = packed({{12, 8, 3}, {5, 8, 1}, {7, 8, 2}});
  ASSERT_EQ(turns_in_epoch(sequences), (std::vector<std::int64_t>{15, 5, 10}));
  Loader loader(sequences, DataOrder::shuffled, 3);
  std::map<std::int32_t, std::int64_t> times;
  Ids first;
  for (std::int64_t epoch = 0; epoch < 84; ++epoch) {
    const Ids ids = deal(loader, 30);
    ASSERT_EQ(ids.size(), 30u);
    std::array<int, 3> parts{};
    for (const std::int32_t id : ids) ++times[id], ++parts[static_cast<std::size_t>(id / 1000)];
    EXPECT_EQ(parts, (std::array<int, 3>{15, 5, 10}));
    if (epoch == 0) first = ids;
    else EXPECT_NE(ids, first);
    // Nothing comes again before all of its part has come.
    for (const auto& [low, high] : {std::pair{0, 12}, {1000, 1005}, {2000, 2007}}) {
      std::int64_t least = 1 << 30, most = 0;
      for (std::int32_t id = low; id < high; ++id) least = std::min(least, times[id]), most = std::max(most, times[id]);
      EXPECT_LE(most - least, 1);
    }
  }
  for (std::int32_t id = 0; id < 12; ++id) EXPECT_EQ(times[id], 105);       // 84 · 15 / 12
  for (std::int32_t id = 1000; id < 1005; ++id) EXPECT_EQ(times[id], 84);   // 84 · 5 / 5
  for (std::int32_t id = 2000; id < 2007; ++id) EXPECT_EQ(times[id], 120);  // 84 · 10 / 7
  EXPECT_DOUBLE_EQ(loader.epochs(), 84);
}

TEST(Mixture, TheOrderDoesNotDependOnTheBatchSize) {
  const PackedSequences sequences = packed({{12, 8, 3}, {5, 8, 1}, {7, 8, 2}});
  for (const DataOrder order : {DataOrder::shuffled, DataOrder::sequential}) {
    Loader one(sequences, order, 3), other_seed(sequences, order, 4);
    const Ids ids = deal(one, 140);
    for (const std::int64_t batch_size : {2, 7, 30, 31, 140}) {
      Loader loader(sequences, order, 3);
      EXPECT_EQ(deal(loader, 140, batch_size), ids) << batch_size;
    }
    EXPECT_EQ(deal(other_seed, 140) == ids, order == DataOrder::sequential);
  }
}

TEST(Mixture, GoesOnAfterAnyPosition) {
  const PackedSequences sequences = packed({{12, 8, 3}, {5, 8, 1}, {7, 8, 2}});
  for (const DataOrder order : {DataOrder::shuffled, DataOrder::sequential}) {
    Loader whole(sequences, order, 3);
    const Ids ids = deal(whole, 100);
    for (std::int64_t position = 0; position < 100; ++position) {
      Loader resumed(sequences, order, 3);
      resumed.seek(position);
      EXPECT_EQ(deal(resumed, 100 - position), Ids(ids.begin() + position, ids.end()));
      EXPECT_EQ(resumed.position(), 100);
    }
    whole.seek(17);  // and back
    EXPECT_EQ(deal(whole, 83), Ids(ids.begin() + 17, ids.end()));
  }
}

TEST(Mixture, PartsTakeTurnsEvenlyWhereNothingIsShuffled) {
  const PackedSequences sequences = packed({{6, 8, 2}, {3, 8, 1}});
  Loader loader(sequences, DataOrder::sequential, 1);
  EXPECT_EQ(deal(loader, 9), (Ids{0, 1000, 1, 2, 1001, 3, 4, 1002, 5}));
  EXPECT_EQ(deal(loader, 2), (Ids{0, 1000}));
}

TEST(Mixture, OfOnePartIsThatPart) {
  Documents single = mixed({{40, 8, 1}});
  const PackedSequences mixture(single, Packing::documents, 8);
  single.parts.clear();
  const PackedSequences sequences(single, Packing::documents, 8);
  Loader a(mixture, DataOrder::shuffled, 9), b(sequences, DataOrder::shuffled, 9);
  EXPECT_EQ(deal(a, 100), deal(b, 100));
  // Nor does another part change the order of the first.
  const PackedSequences more = packed({{40, 8, 1}, {40, 8, 1}});
  Loader c(more, DataOrder::shuffled, 9);
  Ids first = deal(c, 200);
  std::erase_if(first, [](std::int32_t id) { return id >= 1000; });
  Loader again(sequences, DataOrder::shuffled, 9);
  EXPECT_EQ(first, deal(again, static_cast<std::int64_t>(first.size())));
}

TEST(Mixture, RefusesPartsThatGiveNothingAndWeightsBeyondAllMeasure) {
  const std::string none = testing::error_of([] { packed({{10, 8, 1}, {1, 3, 1}}, 4, Packing::concatenate); });
  testing::expect_mentions(none, {"part 1: expected text for a sequence of 4 tokens, got 3 tokens"});
  const std::string heavy = testing::error_of([] { packed({{1000, 8, 1e-9}, {1, 8, 1}}); });
  testing::expect_mentions(heavy, {"part 1: expected a mixture of at most 67108864 sequences an epoch", "times"});
}

}  // namespace
}  // namespace qad
