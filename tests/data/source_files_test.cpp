// Names and patterns to files: order, folders, what is hidden, what matches nothing, what comes twice.
#include "data/files/source_files.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_mentions;

class SourceFiles : public ::testing::Test {
 protected:
  SourceFiles() {
    for (const char* name : {"b.txt", "a.txt", "a10.txt", "a2.txt", "c.jsonl", ".hidden.txt", "deep/x.txt",
                             "deep/er/y.txt", "deep/.git/z.txt", "[odd].txt", "more/x.txt"}) {
      fs::create_directories((folder_ / name).parent_path());
      std::ofstream(folder_ / name) << name;
    }
    fs::create_directory(folder_ / "folder.txt");  // matches, but is no file
    fs::create_directory_symlink(folder_.path(), folder_ / "deep/loop");
  }
  // The files, relative to the folder, with spaces between them.
  std::string files(std::vector<std::string> names) {
    for (std::string& name : names) name = (folder_ / name).string();
    std::string all;
    for (const fs::path& file : expand_files(names, "a text"))
      all += (all.empty() ? "" : " ") + file.lexically_relative(folder_.path()).string();
    return all;
  }
  std::string refusal(const std::vector<std::string>& names) {
    return error_of([&] { files(names); });
  }
  testing::TemporaryFolder folder_;
};

TEST_F(SourceFiles, NamesStayInTheirOrder) {
  EXPECT_EQ(files({"b.txt", "a.txt"}), "b.txt a.txt");
  EXPECT_EQ(files({"absent.txt"}), "absent.txt");  // whoever reads it says so
}

TEST_F(SourceFiles, PatternsGiveTheirFilesByName) {
  EXPECT_EQ(files({"*.txt"}), "[odd].txt a.txt a10.txt a2.txt b.txt");
  EXPECT_EQ(files({"c.*", "a?.txt", "[bx].txt"}), "c.jsonl a2.txt b.txt");
  EXPECT_EQ(files({"a[!0-9]txt"}), "a.txt");
  EXPECT_EQ(files({".*.txt"}), ".hidden.txt");
  EXPECT_EQ(files({"*/x.txt"}), "deep/x.txt more/x.txt");
  EXPECT_EQ(files({"m*/x.*"}), "more/x.txt");
}

TEST_F(SourceFiles, TwoStarsAreAnyNumberOfFolders) {
  EXPECT_EQ(files({"**/[xy].txt"}), "deep/er/y.txt deep/x.txt more/x.txt");  // neither hidden ones nor links
  EXPECT_EQ(files({"**/b.txt"}), "b.txt");
  EXPECT_EQ(files({"deep/**"}), "deep/er/y.txt deep/x.txt");
  EXPECT_EQ(files({"**/er/*"}), "deep/er/y.txt");
}

TEST_F(SourceFiles, ANameThatIsThereIsNoPattern) { EXPECT_EQ(files({"[odd].txt"}), "[odd].txt"); }

TEST_F(SourceFiles, RefusesNothingFoldersAndWhatComesTwice) {
  expect_mentions(refusal({}), {"at least one, got none"});
  expect_mentions(refusal({"a.txt", "*.md"}), {"*.md: expected files that this pattern matches, got none"});
  expect_mentions(refusal({"none/*.txt"}), {"none/*.txt: expected files", "got none"});
  expect_mentions(refusal({"deep"}), {"deep: expected a text, got a folder (", "deep/*.txt"});
  expect_mentions(refusal({"*.txt", "a.txt"}), {"a.txt: expected each file once, got it twice", "weight"});
  expect_mentions(refusal({"a.txt", "deep/../a.txt"}), {"got it twice"});
}

TEST_F(SourceFiles, PatternsWithoutAFolderStartWhereTheProgramStands) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const std::vector<std::string> names = {"b*.txt", "./more/*"};
  const std::vector<fs::path> found = expand_files(names, "a text");
  fs::current_path(before);
  EXPECT_EQ(found, (std::vector<fs::path>{"b.txt", "./more/x.txt"}));
  EXPECT_EQ(name_of_files(found), "b.txt and 1 more");
  EXPECT_EQ(name_of_files(std::span(found).first(1)), "b.txt");
}

}  // namespace
}  // namespace qad
