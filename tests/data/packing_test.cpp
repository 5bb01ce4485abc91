// Sequences: what is packed together stays apart, labels end with their segment, windows are windows.
#include "data/text/packing.h"

#include <gtest/gtest.h>

#include <numeric>

#include "autograd/base/error.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

// Documents of these lengths; tokens count up from 0.
Documents documents_of(std::initializer_list<std::int64_t> lengths) {
  Documents documents;
  documents.source = "test";
  std::int32_t next = 0;
  for (const std::int64_t length : lengths) {
    Ids ids(static_cast<std::size_t>(length));
    std::iota(ids.begin(), ids.end(), next);
    next += static_cast<std::int32_t>(length);
    documents.add(ids);
  }
  return documents;
}

TEST(Packing, WholeDocumentsGoWhereTheyFit) {
  const PackedSequences sequences(documents_of({3, 2, 4, 1, 8}), Packing::documents, 6);
  ASSERT_EQ(sequences.count(), 4);  // 3+2 | 4+1 | 6 | 2 of the last, which is cut
  EXPECT_EQ(sequences.tokens(), 18);
  const TokenBatch first = sequences.batch(0, 1);
  EXPECT_EQ(first.ids, (Ids{0, 1, 2, 3, 4}));
  EXPECT_EQ(first.positions, (Ids{0, 1, 2, 0, 1}));
  EXPECT_EQ(first.labels, (Ids{1, 2, kNoLabel, 4, kNoLabel}));
  EXPECT_EQ(first.segments, (std::vector<Segment>{{0, 3}, {3, 5}}));
  EXPECT_EQ(first.document, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(first.valid, std::vector<std::uint8_t>(5, 1));
  EXPECT_EQ(sequences.batch(2, 4).document, (std::vector<std::int64_t>{4, 4}));
  EXPECT_EQ(sequences.batch(2, 4).segments, (std::vector<Segment>{{0, 6}, {6, 8}}));
  EXPECT_EQ(sequences.batch(2, 99).size(), 8);
}

TEST(Packing, ARestGoesTogetherWithTheNextDocument) {
  const PackedSequences sequences(documents_of({8, 3}), Packing::documents, 6);
  ASSERT_EQ(sequences.count(), 2);
  EXPECT_EQ(sequences.batch(1, 2).ids, (Ids{6, 7, 8, 9, 10}));
}

TEST(Packing, PackedEqualsSeparateSegments) {
  const PackedSequences packed(documents_of({5, 7, 2, 6, 1}), Packing::documents, 16);
  const PackedSequences separate(documents_of({5, 7, 2, 6, 1}), Packing::documents, 7);
  const TokenBatch one = packed.batch(0, packed.count()), other = separate.batch(0, separate.count());
  EXPECT_LT(packed.count(), separate.count());
  EXPECT_EQ(one.ids, other.ids);
  EXPECT_EQ(one.positions, other.positions);
  EXPECT_EQ(one.labels, other.labels);
  EXPECT_EQ(one.segments, other.segments);
}

TEST(Packing, WindowsRunOverDocumentEnds) {
  const PackedSequences sequences(documents_of({5, 4, 5}), Packing::concatenate, 4);
  ASSERT_EQ(sequences.count(), 3);  // two tokens are left over
  for (std::int32_t i = 0; i < 3; ++i) {
    const TokenBatch window = sequences.batch(i, i + 1);
    EXPECT_EQ(window.ids, (Ids{4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3}));
    EXPECT_EQ(window.labels, (Ids{4 * i + 1, 4 * i + 2, 4 * i + 3, kNoLabel}));
    EXPECT_EQ(window.segments, (std::vector<Segment>{{0, 4}}));
  }
}

TEST(Packing, PromptTokensAreNoLabels) {
  Documents documents;
  documents.add(Ids{10, 11, 12, 13, 14}, 3);
  const PackedSequences sequences(std::move(documents), Packing::documents, 8);
  EXPECT_EQ(sequences.batch(0, 1).labels, (Ids{kNoLabel, kNoLabel, 13, 14, kNoLabel}));
  EXPECT_EQ(sequences.batch(0, 1).valid, std::vector<std::uint8_t>(5, 1));  // distillation counts prompts as well
}

TEST(Packing, TellsWhetherAnyTokenIsALabel) {
  const auto has_labels = [](std::vector<std::uint8_t> mask, std::int64_t length) {
    Documents documents;
    documents.add(Ids{10, 11, 12});
    documents.add(Ids{13, 14, 15});
    documents.mask = std::move(mask);
    return PackedSequences(std::move(documents), Packing::documents, length).has_labels();
  };
  EXPECT_TRUE(has_labels({}, 8));
  EXPECT_TRUE(has_labels({0, 0, 0, 0, 0, 1}, 8));
  EXPECT_FALSE(has_labels({1, 0, 0, 1, 0, 0}, 8));  // the first token of a document is never predicted
  EXPECT_FALSE(has_labels({0, 0, 1, 0, 0, 1}, 2));  // nor is that of a piece
}

TEST(Packing, RefusesTextThatFillsNoSequence) {
  EXPECT_THROW(PackedSequences(documents_of({3}), Packing::concatenate, 4), Error);
  EXPECT_THROW(PackedSequences(Documents{}, Packing::documents, 4), Error);
}

}  // namespace
}  // namespace qad
