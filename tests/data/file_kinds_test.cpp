// Files that are no text: told by what is in them, refused with the command that makes a text of them. The commands
// that need nothing but Python and the usual tools are run.
#include "data/files/file_kinds.h"

#include <gtest/gtest.h>

#include "autograd/base/atomic_file.h"
#include "data/text/text_sources.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using namespace std::string_literals;
using testing::error_of;
using testing::expect_mentions;

class FileKinds : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& contents) {
    write_file_atomically(folder_ / name, contents);
    return (folder_ / name).string();
  }
  std::string refusal(const std::string& name, const std::string& contents) {
    const std::filesystem::path file = write(name, contents);
    return error_of([&] { static_cast<void>(read_utf8(file, "a text")); });
  }
  std::string jsonl_refusal(const std::string& name, const std::string& contents) {
    const std::vector<std::filesystem::path> files = {write(name, contents)};
    return error_of([&] { static_cast<void>(read_jsonl(files, default_text_format(), folder_.path(), all_)); });
  }
  // The command at the end of a message.
  static std::string command_of(const std::string& message) {
    const std::size_t begin = message.rfind(" (python3");
    const std::size_t at = begin != std::string::npos ? begin : message.rfind(" (");
    return message.substr(at + 2, message.size() - at - 3);
  }
  testing::TemporaryFolder folder_;
  ReadLimit all_;
};

TEST_F(FileKinds, AreToldByTheirFirstBytes) {
  expect_mentions(refusal("a.bin", "PAR1\x15\0\xff rest PAR1"s),
                  {"a.bin: expected a text, perhaps compressed by gzip or zstd, got a Parquet file, which takes Apache "
                   "Arrow to read (python3 -c ",
                   "pyarrow.parquet", "read_table('", "a.bin')", "> ", "a.jsonl)"});
  expect_mentions(refusal("b", "ARROW1\0\0\xff\xff\xff\xff"s), {"got an Arrow file", "open_file"});
  expect_mentions(refusal("data.arrow", "\xff\xff\xff\xff\x10\0\0\0"s), {"got an Arrow stream", "open_stream"});
  expect_mentions(refusal("c.txt", "BZh91AY&SY\xff\xfe"s), {"compressed by bzip2 (bzip2 -dc ", " | gzip > ", "c.gz)"});
  expect_mentions(refusal("d", "\xfd"s + "7zXZ\0\0\4"s), {"compressed by xz", "xz -dc"});
  expect_mentions(refusal("e.zip", "PK\3\4\0\0"s), {"a zip archive", "unzip -p"});
  expect_mentions(refusal("f.tar", "name"s + std::string(253, '\0') + "ustar"), {"a tar archive", "tar -xOf"});
  expect_mentions(refusal("g.txt", "\x89HDF\r\n\x1a\n\0"s), {"an HDF5 file", "token_file"});
  expect_mentions(refusal("h.npy", "\x93NUMPY\1\0"s), {"a NumPy array", "token_file", "h.h5"});
  expect_mentions(refusal("i.txt",
                          "\xff\xfe"
                          "a\0b\0"s),
                  {"got UTF-16", "iconv -f UTF-16 -t UTF-8"});
  expect_mentions(refusal("j.txt", "\x04\x22\x4d\x18\0\xff"s), {"compressed by lz4"});
  const std::string odd = refusal("it's $HOME.bin", "PAR1\0\xff"s);
  expect_mentions(odd, {"read_table('FILE')", "> FILE.jsonl)"});  // no shell would take that name as it is
  expect_mentions(refusal("two words.txt", "BZh9\0\xff"s),
                  {"bzip2 -dc '", "two words.txt' | gzip > '", "two words.gz')"});
}

TEST_F(FileKinds, WordsAreNoMagic) {
  for (const char* text : {"PAR1 is a name", "ORCs attacked", "PK\3\4", "BZh, he said", "ARROW1"})
    EXPECT_EQ(read_utf8(write("a.txt", text), "a text"), text);
}

TEST_F(FileKinds, TablesAndArraysAreNoJsonLines) {
  expect_mentions(jsonl_refusal("a.csv", "text,n\nab,1\n"),
                  {"a.csv: expected JSON lines, one object a line, got a table of comma-separated values (python3 -c ",
                   "csv.DictReader(sys.stdin)", "a.jsonl)"});
  expect_mentions(jsonl_refusal("a.tsv", "text\tn\n"), {"tab-separated", "delimiter='\\t'"});
  expect_mentions(jsonl_refusal("a.json", " \n[{\"text\": \"a\"},\n{\"text\": \"b\"}]\n"),
                  {"got a JSON array", "json.load"});
  expect_mentions(jsonl_refusal("b.jsonl", "[\n  {\"text\": \"a\"}\n]"),
                  {"got a JSON array", "b.jsonl > ", "b.new.jsonl)"});
  expect_mentions(jsonl_refusal("c.json", "{\n  \"text\": \"a\"\n}\n"), {"an object over several lines", "jq -c ."});
  EXPECT_EQ(jsonl_refusal("d.json", "{\"text\": \"a\"}\n"), "no error");
}

TEST_F(FileKinds, NamesTellJsonLines) {
  for (const char* name : {"a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz", "d/a.json.zst"})
    EXPECT_TRUE(is_named_json_lines(name)) << name;
  for (const char* name : {"a.txt", "jsonl", "a.jsonl.txt", "a.gz", "a.h5"})
    EXPECT_FALSE(is_named_json_lines(name)) << name;
}

TEST_F(FileKinds, TheirCommandsWork) {
  const auto lines_after = [&](const std::string& name, const std::string& contents, const std::string& made) {
    const std::string command = command_of(jsonl_refusal(name, contents));
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::string all;
    const std::vector<std::filesystem::path> files = {folder_ / made};
    for (const TextDocument& document : read_jsonl(files, default_text_format(), folder_.path(), all_))
      all += document.text + "|";
    return all;
  };
  if (std::system("python3 -c '' 2>/dev/null") != 0) GTEST_SKIP() << "no python3";
  EXPECT_EQ(lines_after("a.csv", "n,text\n1,\"a, \xc3\xbc\"\n2,b\n", "a.jsonl"), "a, \xc3\xbc|b|");
  EXPECT_EQ(lines_after("t.tsv", "text\tn\nc\t1\n", "t.jsonl"), "c|");
  EXPECT_EQ(lines_after("IN OUT.json", "[{\"text\": \"d\"}]", "IN OUT.jsonl"), "d|");
  EXPECT_EQ(lines_after("j son.json", "[{\"text\": \"a\"},\n {\"text\": \"b\", \"n\": NaN}]", "j son.jsonl"), "a|b|");
}

}  // namespace
}  // namespace qad
