// Hashes of whole files: as documented, at any number of threads.
#include "data/files/file_hash.h"

#include <gtest/gtest.h>

#include <array>

#include "autograd/base/atomic_file.h"
#include "autograd/base/parallel.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

std::string big_endian(std::uint64_t number) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
  return bytes;
}

TEST(FileHash, OfSmallFilesIsXxhsums) {
  const testing::TemporaryFolder folder;
  const std::array files = {folder / "empty", folder / "text"};
  write_file_atomically(files[0], "");
  write_file_atomically(files[1], "qad\n");
  const auto hashes = hash_files(files);
  EXPECT_EQ(hashes[0].bytes, 0u);
  EXPECT_EQ(hex(hashes[0].hash), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, from its specification
  EXPECT_EQ(hashes[1].bytes, 4u);
  EXPECT_EQ(hashes[1].hash, hash128("qad\n"));
}

TEST(FileHash, OfLargeOnesIsThatOfTheHashesOfTheirPieces) {
  const testing::TemporaryFolder folder;
  const std::string text = pattern(2 * kHashedPiece + 12345);
  const std::array files = {folder / "one", folder / "large", folder / "exact"};
  write_file_atomically(files[0], text.substr(0, 1000));
  write_file_atomically(files[1], text);
  write_file_atomically(files[2], text.substr(0, kHashedPiece));
  std::string pieces;
  for (std::size_t at = 0; at < text.size(); at += kHashedPiece) {
    const Hash128 piece = hash128(std::string_view(text).substr(at, kHashedPiece));
    pieces += big_endian(piece.high) + big_endian(piece.low);
  }
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    const auto hashes = hash_files(files);
    EXPECT_EQ(hashes[0].hash, hash128(text.substr(0, 1000)));
    EXPECT_EQ(hashes[1], (FileHash{text.size(), hash128(pieces)}));
    EXPECT_EQ(hashes[2].hash, hash128(text.substr(0, kHashedPiece)));
  }
  set_threads(0);
}

TEST(FileHash, OfWhatIsNoFileIsAnError) {
  const testing::TemporaryFolder folder;
  const auto refusal = [](const fs::path& file) {
    return testing::error_of([&] { static_cast<void>(hash_files(std::array{file})); });
  };
  EXPECT_NE(refusal(folder / "none").find("none: expected a readable file, got No such file"), std::string::npos);
  EXPECT_NE(refusal(folder.path()).find("got a folder"), std::string::npos);
  EXPECT_NE(refusal("/dev/zero").find("got a device"), std::string::npos);
}

}  // namespace
}  // namespace qad
