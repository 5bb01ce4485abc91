// Pre-tokenized HDF5 files: what a run in sequential order over concatenated windows sees, and what is refused.
#include "data/token_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <functional>
#include <numeric>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/loader.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::TemporaryFolder;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

/// A file as other programs write it: 64-bit numbers, datasets by name.
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
                                write_h5(folder / "tokens.h5", {{"ids", ids}, {"offsets", {0, 13, 50, 100}}})};
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

TEST(TokenFile, RefusesBadFilesInOneClearLine) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& file) {
    const SourceConfig config{.token_file = file};
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
}

}  // namespace
}  // namespace qad
