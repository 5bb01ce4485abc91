// The beginning of a text, for who needs no more of it: whole lines, whole characters, no further file.
#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "data/text/text_sources.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

class ReadLimits : public ::testing::Test {
 protected:
  // The documents of these files, each with a bar behind it.
  std::string read(const std::vector<std::string>& contents, std::uint64_t bytes, const std::string& separator) {
    std::vector<std::filesystem::path> files;
    for (const std::string& content : contents) {
      files.push_back(folder_ / (std::to_string(files.size()) + ".txt"));
      write_file_atomically(files.back(), content);
    }
    TextFormat format = default_text_format();
    format.separator = separator;
    limit_ = {bytes};
    std::string all;
    for (const TextDocument& document : read_text(files, format, limit_)) all += document.text + "|";
    return all;
  }

  testing::TemporaryFolder folder_;
  ReadLimit limit_;
};

TEST_F(ReadLimits, EndAtALine) {
  EXPECT_EQ(read({"one\ntwo\nthree\n"}, 9, "\n"), "one|two|");
  EXPECT_TRUE(limit_.was_cut);
  EXPECT_EQ(read({"one\ntwo\nthree\n"}, 14, "\n"), "one|two|three|");
  EXPECT_FALSE(limit_.was_cut);
  EXPECT_EQ(read({"one\ntwo\n", "three\nfour\n"}, 16, "\n"), "one|two|three|");
  EXPECT_EQ(read({"one\ntwo\n", "three\n"}, 8, "\n"), "one|two|");  // the second is not looked at
}

TEST_F(ReadLimits, EndAtACharacterWhereThereIsNoLine) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x8a.";  // of one to four bytes
  for (const auto& [bytes, expected] : std::vector<std::pair<std::uint64_t, std::string>>{
           {1, "a|"}, {2, "a|"}, {4, "a\xc3\xa9|"}, {9, "a\xc3\xa9\xe2\x82\xac|"}, {11, text + "|"}})
    EXPECT_EQ(read({text}, bytes, ""), expected) << bytes;
}

TEST_F(ReadLimits, OfRecordsAreWholeRecords) {
  const std::filesystem::path file = folder_ / "a.jsonl";
  write_file_atomically(file, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": \"three\"}\n");
  ReadLimit limit{40};
  const std::vector<std::filesystem::path> files = {file};
  const auto documents = read_jsonl(files, default_text_format(), folder_.path(), limit);
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[1].text, "two");
  EXPECT_TRUE(limit.was_cut);
}

}  // namespace
}  // namespace qad
