// What held-out text shares with the training text, and fingerprints that tell texts apart.
#include "data/text/shared_documents.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "autograd/base/atomic_file.h"
#include "data/files/hash.h"
#include "data/text/packing.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

Ids counting(std::int32_t from, std::size_t length) {
  Ids ids(length);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

Documents documents_of(const std::vector<Ids>& all) {
  Documents documents;
  documents.source = "test";
  for (const Ids& ids : all) documents.add(ids);
  return documents;
}

TEST(SharedDocuments, AreCountedTokenByToken) {
  const Documents training = documents_of({{1, 2, 3}, {4, 5}, {6}, {7, 8, 9, 10}});
  EXPECT_EQ(count_shared(documents_of({{1, 2, 3}, {4, 5, 5}, {6}}), training), 2);
  EXPECT_EQ(count_shared(documents_of({{1, 2}, {3, 4}}), training),
            0);  // the beginning of one is short, and may be chance
  EXPECT_EQ(count_shared(documents_of({{4, 5}, {4, 5}}), training), 2);
  EXPECT_EQ(count_shared(training, training), 4);
  EXPECT_EQ(count_shared(documents_of({}), training), 0);
}

TEST(SharedDocuments, ALastOneThatIsCutCountsToo) {
  const Documents training = documents_of({counting(0, 100), counting(500, 100)});
  EXPECT_EQ(count_shared(documents_of({{1}, counting(0, 32)}), training), 1);
  EXPECT_EQ(count_shared(documents_of({{1}, counting(0, 31)}), training), 0);
  EXPECT_EQ(count_shared(documents_of({counting(0, 32), {1}}), training), 0);     // not the last
  EXPECT_EQ(count_shared(documents_of({counting(500, 200), {1}}), training), 1);  // training has it cut short
  EXPECT_EQ(count_shared(documents_of({counting(500, 50)}), training), 1);
}

TEST(Fingerprint, TellsIdsBoundariesLabelsAndPartsApart) {
  std::set<std::string> seen;
  const auto add = [&](const Documents& documents, Packing packing = Packing::documents, std::int64_t length = 4) {
    const std::string of_sequences = fingerprint(PackedSequences(documents, packing, length));
    EXPECT_EQ(of_sequences.size(), 32u);
    EXPECT_EQ(fingerprint(PackedSequences(documents, packing, length)), of_sequences);
    return seen.insert(of_sequences).second;
  };
  Documents documents = documents_of({{1, 2, 3, 4}, {5, 6, 7, 8}});
  EXPECT_TRUE(add(documents));
  EXPECT_FALSE(add(documents));
  EXPECT_TRUE(add(documents_of({{1, 2, 3, 4}, {5, 6, 7, 9}})));
  EXPECT_TRUE(add(documents_of({{1, 2, 3}, {4, 5, 6, 7, 8}})));
  EXPECT_TRUE(add(documents_of({{5, 6, 7, 8}, {1, 2, 3, 4}})));
  EXPECT_TRUE(add(documents, Packing::concatenate, 2));
  EXPECT_TRUE(add(documents, Packing::documents, 8));
  documents.mask.assign(8, 1);
  EXPECT_FALSE(add(documents));  // all are labels, as without a mask
  documents.mask[2] = 0;
  EXPECT_TRUE(add(documents));
  documents.mask.clear();
  documents.parts = {{1, 1.0, ""}, {2, 1.0, ""}};
  EXPECT_TRUE(add(documents));
  documents.parts[1].weight = 3;
  EXPECT_TRUE(add(documents));
  EXPECT_EQ(fingerprint(documents), fingerprint(documents_of({{1, 2, 3, 4}, {5, 6, 7, 8}})));
}

TEST(Hasher128, PiecesGiveTheHashOfTheWhole) {
  const std::string text = "Nobody inspects the spammish repetition";
  Hasher128 hasher;
  hasher.add(std::span<const char>(text).first(10));
  hasher.add(std::span<const char>(text).subspan(10));
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "text", text);
  EXPECT_EQ(hasher.hash(), hash_file(folder / "text"));
  EXPECT_EQ(hex(Hasher128().hash()), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing
}

}  // namespace
}  // namespace qad
