// Pre-tokenized HDF5 files: what a run in sequential order over concatenated windows sees, and what is refused.
#include "data/text/token_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <numeric>

#include "autograd/base/atomic_file.h"
#include "data/text/loader.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Files = std::vector<std::string>;

using Ids = std::vector<std::int32_t>;
using testing::error_of;
using testing::TemporaryFolder;

// A file as other programs write it: 64-bit numbers, datasets by name.
std::string write_h5(const std::filesystem::path& path,
                     const std::vector<std::pair<const char*, std::vector<std::int64_t>>>& datasets) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  for (const auto& [name, values] : datasets) {
    const hsize_t count = values.size();
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t data = H5Dcreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (count > 0) H5Dwrite(data, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(data);
    H5Sclose(space);
  }
  H5Fclose(file);
  return path.string();
}

TEST(TokenFile, SequentialWindowsAreSlicesOfTheIds) {
  const TemporaryFolder folder;
  constexpr std::int64_t kLength = 7;
  std::vector<std::int64_t> ids(100);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>((i * 37 + 11) % 97);
  const SourceConfig config{.token_file =
                                Files{write_h5(folder / "tokens.h5", {{"ids", ids}, {"offsets", {0, 13, 50, 100}}})}};
  const PackedSequences windows(load_documents(config, nullptr, 97, "data.train"), Packing::concatenate, kLength);
  ASSERT_EQ(windows.count(), 14);
  Loader loader(windows, DataOrder::sequential, 1);
  for (std::int64_t i = 0; i < windows.count(); ++i) {
    const auto at = ids.begin() + i * kLength;
    EXPECT_EQ(loader.next(1).ids, Ids(at, at + kLength)) << i;
  }
}

TEST(TokenFile, OffsetsMarkDocumentsWithOrWithoutTheEnd) {
  const TemporaryFolder folder;
  const std::vector<std::int64_t> ids{1, 2, 3, 4, 5, 6};
  for (const std::vector<std::int64_t>& offsets :
       {std::vector<std::int64_t>{0, 2, 6}, std::vector<std::int64_t>{0, 2}}) {
    const Documents documents = read_token_file(write_h5(folder / "tokens.h5", {{"ids", ids}, {"offsets", offsets}}));
    ASSERT_EQ(documents.count(), 2);
    EXPECT_EQ(Ids(documents[1].begin(), documents[1].end()), (Ids{3, 4, 5, 6}));
  }
  EXPECT_EQ(read_token_file(write_h5(folder / "tokens.h5", {{"ids", ids}})).count(), 1);
}

TEST(TokenFile, AMaskSaysWhichTokensAreLabels) {
  const TemporaryFolder folder;
  const SourceConfig config{.token_file = Files{write_h5(folder / "tokens.h5", {{"ids", {1, 2, 3, 4, 5, 6, 7}},
                                                                                {"offsets", {0, 4}},
                                                                                {"mask", {0, 1, 0, 1, 1, 0, 1}}})}};
  const PackedSequences sequences(load_documents(config, nullptr, 10, "data.train"), Packing::documents, 8);
  const TokenBatch batch = sequences.batch(0, 1);
  EXPECT_EQ(batch.labels, (Ids{2, kNoLabel, 4, kNoLabel, kNoLabel, 7, kNoLabel}));
  EXPECT_EQ(batch.valid, std::vector<std::uint8_t>(7, 1));  // distillation counts masked tokens as well
}

TEST(TokenFile, AMaskIsCutWithItsTokens) {
  const TemporaryFolder folder;
  const SourceConfig config{
      .token_file = Files{write_h5(folder / "tokens.h5",
                                   {{"ids", {1, 2, 3, 4, 5, 6}}, {"offsets", {0, 2}}, {"mask", {1, 1, 0, 1, 0, 1}}})},
      .skip_documents = 1,
      .tokens = 3};
  EXPECT_EQ(load_documents(config, nullptr, 10, "data.train").mask, (std::vector<std::uint8_t>{0, 1, 0}));
}

TEST(TokenFile, BeginsWithItsFirstTokens) {
  const testing::TemporaryFolder folder;
  Documents whole;
  for (const std::vector<std::int32_t>& ids : {std::vector{1, 2, 3}, {}, {4}, {5, 6}}) whole.add(ids, 0);
  whole.mask = {0, 1, 1, 1, 0, 1};
  write_token_file(whole, folder / "tokens.h5");
  for (std::int64_t most = 1; most <= 7; ++most) {
    const Documents read = read_token_file(folder / "tokens.h5", most);
    Documents expected = whole;
    expected.restrict_to(0, most);
    EXPECT_EQ(read.ids, expected.ids) << most;
    EXPECT_EQ(read.mask, expected.mask) << most;
    EXPECT_EQ(read.offsets, expected.offsets) << most;
    EXPECT_EQ(read.is_beginning, most < 6) << most;
  }
}

TEST(TokenFile, AMaskMayBeBooleansOfH5py) {
  const TemporaryFolder folder;
  const std::string path = write_h5(folder / "tokens.h5", {{"ids", {1, 2, 3}}});
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t type = H5Tenum_create(H5T_STD_I8LE);
  const std::int8_t no = 0, yes = 1;
  H5Tenum_insert(type, "FALSE", &no);
  H5Tenum_insert(type, "TRUE", &yes);
  const hsize_t count = 3;
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t data = H5Dcreate2(file, "mask", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const std::int8_t values[] = {no, yes, yes};
  ASSERT_GE(H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
  H5Dclose(data);
  H5Sclose(space);
  H5Tclose(type);
  H5Fclose(file);
  EXPECT_EQ(read_token_file(path).mask, (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST(TokenFile, ReadsBackWhatItWrites) {
  const TemporaryFolder folder;
  for (const std::int64_t prompt_tokens : {0, 2}) {
    Documents documents;
    documents.add(Ids{5, 6, 7});
    documents.add(Ids{8, 9, 10, 11}, prompt_tokens);
    write_token_file(documents, folder / "tokens.h5");
    const Documents read = read_token_file(folder / "tokens.h5");
    EXPECT_EQ(read.ids, documents.ids);
    EXPECT_EQ(read.offsets, documents.offsets);
    EXPECT_EQ(read.mask, documents.mask);
  }
}

TEST(TokenFile, RefusesBadFilesInOneClearLine) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& file) {
    const SourceConfig config{.token_file = Files{file}};
    return error_of([&] { static_cast<void>(load_documents(config, nullptr, 100, "data.train")); });
  };
  EXPECT_NE(message((folder / "absent.h5").string()).find("absent.h5"), std::string::npos);
  write_file_atomically(folder / "text.h5", "no HDF5 at all");
  EXPECT_NE(message((folder / "text.h5").string()).find("text.h5"), std::string::npos);
  EXPECT_NE(message(write_h5(folder / "a.h5", {{"tokens", {1}}})).find("ids"), std::string::npos);
  EXPECT_NE(message(write_h5(folder / "b.h5", {{"ids", {}}})).find("b.h5"), std::string::npos);
  EXPECT_NE(message(write_h5(folder / "c.h5", {{"ids", {1, 2}}, {"offsets", {0, 9}}})).find("c.h5: offsets"),
            std::string::npos);
  EXPECT_NE(message(write_h5(folder / "d.h5", {{"ids", {1, 2}}, {"offsets", {0, 2, 1}}})).find("d.h5: offsets"),
            std::string::npos);
  EXPECT_NE(message(write_h5(folder / "e.h5", {{"ids", {1, 99, 100}}})).find("got 100 in document 0"),
            std::string::npos);
  EXPECT_NE(message(write_h5(folder / "f.h5", {{"ids", {1, std::int64_t{1} << 33}}})).find("in document 0"),
            std::string::npos);
  EXPECT_NE(message(write_h5(folder / "g.h5", {{"ids", {1, -5}}})).find("got -5"), std::string::npos);
  EXPECT_NE(message(write_h5(folder / "h.h5", {{"ids", {1, 2, 3}}, {"mask", {1, 1}}}))
                .find("h.h5: mask: expected 3 numbers, one for each of ids, got 2"),
            std::string::npos);
  EXPECT_NE(message(write_h5(folder / "i.h5", {{"ids", {1, 2, 3}}, {"mask", {1, 0, 2}}}))
                .find("i.h5: mask: expected 1 for each token that is a label and 0 for the others, got 2 for token 2"),
            std::string::npos);
}

}  // namespace
}  // namespace qad
