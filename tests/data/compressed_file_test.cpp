// gzip and Zstandard as the programs of these names and Python write them, whole, joined, cut off, damaged, and bombs.
#include "data/files/compressed_file.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::error_of;
using testing::expect_mentions;

std::string unhex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

const std::string kText = "one\ntwo\n", kMore = "three\n";
// gzip -n9c, zstd -19c, and Python's gzip.GzipFile("name.txt"), which writes the name into its header.
const std::string kGzip = unhex("1f8b0800000000000203cbcf4be52a29cfe70200e60bba1208000000");
const std::string kGzipMore = unhex("1f8b08000000000002032bc9284a4de50200d8c546ff06000000");
const std::string kGzipNamed = unhex("1f8b08080000000002ff6e616d652e74787400cbcf4be52a29cfe70200e60bba1208000000");
const std::string kZstd = unhex("28b52ffd04684100006f6e650a74776f0ae6a60e40");
const std::string kZstdMore = unhex("28b52ffd046831000074687265650ad706fd28");
const std::string kSkipped = unhex("502a4d1804000000") + "abcd";  // a frame that readers skip

constexpr std::size_t kLimit = 1 << 20;

std::string text_in(const std::string& compressed, std::size_t most = kLimit) {
  return decompress(compressed, "a.gz", most);
}

// 128 KiB of zeros in four bytes, `blocks` times: a Zstandard frame of RLE blocks.
std::string bomb(int blocks) {
  std::string frame = unhex("28b52ffd0038");
  for (int i = 0; i < blocks; ++i) {
    const unsigned header = (1u << 17) << 3 | 1u << 1 | (i + 1 == blocks ? 1u : 0u);
    for (int byte = 0; byte < 3; ++byte) frame.push_back(static_cast<char>(header >> (8 * byte)));
    frame.push_back('\0');
  }
  return frame;
}

TEST(CompressedFile, ReadsWhatProgramsWrite) {
  EXPECT_EQ(text_in(kGzip), kText);
  EXPECT_EQ(text_in(kGzipNamed), kText);
  EXPECT_EQ(text_in(kZstd), kText);
  EXPECT_EQ(text_in("plain text"), "plain text");
  EXPECT_EQ(text_in(""), "");
}

TEST(CompressedFile, ReadsOnePartAfterTheOther) {
  EXPECT_EQ(text_in(kGzip + kGzipMore + kGzip), kText + kMore + kText);
  EXPECT_EQ(text_in(kGzip + kGzipMore + std::string(512, '\0')), kText + kMore);
  EXPECT_EQ(text_in(kZstd + kZstdMore + kZstd), kText + kMore + kText);
  EXPECT_EQ(text_in(kSkipped + kZstd + kSkipped + kZstdMore), kText + kMore);
}

TEST(CompressedFile, RefusesWhatIsCutOffAtAnyPlace) {
  for (const std::string& whole : {kGzip, kGzip + kGzipMore, kGzipNamed, kZstd, kZstd + kZstdMore}) {
    for (std::size_t size = 4; size < whole.size(); ++size) {
      const std::string cut = whole.substr(0, size);
      if (cut == kGzip || cut == kZstd) continue;  // whole, and another part would follow
      const std::string message = error_of([&] { text_in(cut); });
      expect_mentions(message, {"a.gz: expected whole ", " data, got ", "(was it copied whole?)"});
    }
  }
}

TEST(CompressedFile, RefusesWhatIsDamaged) {
  std::string gzip = kGzip, zstd = kZstd;
  gzip[20] ^= 1;  // the checksum
  zstd.back() ^= 1;
  expect_mentions(error_of([&] { text_in(gzip); }), {"a.gz: expected whole gzip data, got incorrect data check"});
  expect_mentions(error_of([&] { text_in(zstd); }), {"a.gz: expected whole Zstandard data", "checksum"});
  expect_mentions(error_of([&] { text_in(kGzip + "rest"); }), {"got other bytes after its end"});
  expect_mentions(error_of([&] { text_in(kZstd + "rest"); }), {"a.gz: expected whole Zstandard data, got "});
}

TEST(CompressedFile, StopsBeforeABombFillsTheMemory) {
  EXPECT_EQ(text_in(bomb(8)), std::string(kLimit, '\0'));
  expect_mentions(error_of([&] { text_in(bomb(9)); }), {"a.gz: expected at most 1 MiB of text", "got more"});
  expect_mentions(error_of([&] { text_in(bomb(100'000)); }), {"got more"});  // 12 GiB
  expect_mentions(error_of([&] { text_in(kGzip, 7); }), {"got more"});
  EXPECT_EQ(text_in(kGzip, 8), kText);
}

TEST(CompressedFile, BeginsWithItsFirstBytes) {
  const testing::TemporaryFolder folder;
  const auto beginning = [&](const std::string& content, std::size_t size) {
    write_file_atomically(folder / "a", content);
    return beginning_of(folder / "a", size);
  };
  for (const std::string& content : {kGzip + kGzipMore, kZstd + kSkipped + kZstdMore}) {
    EXPECT_EQ(beginning(content, content.size()), "") << "as short as that";
    EXPECT_EQ(beginning(content, kLimit), "");
    for (std::size_t size = 4; size < content.size(); ++size) {  // of the file, too
      const std::string text = beginning(content, size);
      EXPECT_EQ(text, (kText + kMore).substr(0, text.size())) << size;
      EXPECT_LE(text.size(), size);
    }
    EXPECT_EQ(beginning(content, content.size() - 1), kText + kMore) << "without the end of its checksum";
  }
  EXPECT_EQ(beginning(bomb(100'000), 100'000), std::string(100'000, '\0'));
  EXPECT_EQ(beginning("plain text", 5), "plain");
  EXPECT_EQ(beginning("plain text", 10), "");
  EXPECT_EQ(beginning_of(folder.path(), 10), "");
  std::string damaged = kGzip;
  damaged[20] ^= 1;
  expect_mentions(error_of([&] { static_cast<void>(beginning(damaged + kGzip, 50)); }), {"incorrect data check"});
}

TEST(CompressedFile, RefusesWhatIsCompressedTwice) {
  // gzip -n9c of kGzip
  const std::string twice =
      unhex("1f8b080000000000020393efe660000126e6d3e7bd9f6a699e7fcec4f08c7b9710481400cf03f4e21c000000");
  EXPECT_EQ(error_of([&] { text_in(twice); }),
            "a.gz: expected a text that is compressed once, got one compressed twice");
}

TEST(CompressedFile, TheNameBeforeTheEndingSaysWhatIsInIt) {
  EXPECT_EQ(without_compression_ending("d/a.jsonl.gz"), "d/a.jsonl");
  EXPECT_EQ(without_compression_ending("d/a.txt.zst"), "d/a.txt");
  EXPECT_EQ(without_compression_ending("d/a.gz.txt"), "d/a.gz.txt");
}

}  // namespace
}  // namespace qad
