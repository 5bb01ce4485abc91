// A folder that appears whole, wherever it may be, and touches nothing of others.
#include "autograd/base/output_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TemporaryFolder;
using Files = std::map<std::string, std::string>;

ino_t inode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  return status.st_ino;
}

class Output : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path at(const std::string& name) const { return folder_ / name; }
  // Every file below a folder, hidden ones too; folders have the text "/".
  [[nodiscard]] Files files_in(const std::string& name = "") const {
    Files files;
    for (const auto& entry : fs::recursive_directory_iterator(at(name)))
      files[fs::relative(entry.path(), at(name)).string()] =
          entry.is_directory() ? "/" : read_file(entry.path(), "a file");
    return files;
  }
  static void fill(const OutputFolder& out, const std::string& text) {
    for (const char* name : {"config", "weights"}) write_file_atomically(out.path() / name, text);
  }
  static void write(const fs::path& target, const std::string& text,
                    const OutputFolder::Replaceable& replaceable = {}) {
    OutputFolder out(target, replaceable);
    fill(out, text);
    out.put_in_place("config");
  }
  static std::set<std::string> both(const fs::path&) { return {"config", "weights"}; }

  TemporaryFolder folder_;
  const Files whole_ = {{"config", "new"}, {"weights", "new"}};
};

TEST_F(Output, SaysWhoIsAboutToPutAFolderSomewhere) {
  check_nobody_builds(at("new"));
  {
    OutputFolder out(at("new"), {}, OutputFolder::Left::kept);
    fill(out, "half");
    const std::string error = error_of([&] { check_nobody_builds(at("new")); });
    EXPECT_NE(error.find("process " + std::to_string(::getpid())), std::string::npos) << error;
    check_nobody_builds(at("other"));
  }
  check_nobody_builds(at("new"));  // what is left there is nobody's, and is still there
  EXPECT_EQ(files_in(".new.partial").size(), 3u);
  OutputFolder out(at("new"), {}, OutputFolder::Left::kept);
  fill(out, "new");
  fs::create_directories(at("new"));
  const std::string error = error_of([&] { out.put_in_place("config"); });
  EXPECT_NE(error.find(out.path().string()), std::string::npos) << error;
}

TEST_F(Output, MayBeNewOrEmptyOrALinkToOne) {
  fs::create_directories(at("empty"));
  fs::permissions(at("empty"), fs::perms::owner_all);
  fs::create_directories(at("real"));
  fs::create_symlink("real", at("link"));
  fs::create_symlink("later", at("dangling"));
  const std::string longest(255, 'x');
  const ino_t inode = inode_of(at("empty"));
  for (const std::string& name : {std::string("new"), std::string("new/"), std::string("a/b/new"), std::string("empty"),
                                  std::string("link"), std::string("dangling"), longest, std::string("a b\nc")}) {
    if (name == "new/") fs::remove_all(at("new"));
    write(at(name), "new");
    EXPECT_EQ(files_in(name), whole_) << name;
  }
  EXPECT_EQ(files_in("real"), whole_);
  EXPECT_EQ(files_in("later"), whole_);
  EXPECT_EQ(fs::read_symlink(at("link")), "real");
  EXPECT_EQ(fs::read_symlink(at("dangling")), "later");
  EXPECT_EQ(inode_of(at("empty")), inode);
  EXPECT_EQ(fs::status(at("empty")).permissions(), fs::perms::owner_all);
}

TEST_F(Output, ThatIsNotPutInPlaceLeavesNothing) {
  fs::create_directories(at("empty"));
  for (const char* name : {"new", "a/b/new", "empty"}) {
    const OutputFolder out(at(name));
    fill(out, "new");
    EXPECT_FALSE(fs::exists(at(name) / "config"));
  }
  EXPECT_EQ(files_in(), (Files{{"empty", "/"}}));
}

TEST_F(Output, LeavesTheFilesOfOthersAlone) {
  write_file_atomically(at("full/notes"), "mine");
  write_file_atomically(at("file"), "mine");
  write_file_atomically(at(".new.partial/notes"), "mine");
  write_file_atomically(at("half/.qad_partial/notes"), "mine");
  const Files before = files_in();
  const auto refusal = [&](const char* name) { return error_of([&] { const OutputFolder out(at(name)); }); };
  EXPECT_NE(refusal("full").find("expected a new or empty folder, got something there already"), std::string::npos);
  EXPECT_NE(refusal("file").find("expected a new or empty folder, got a file"), std::string::npos);
  EXPECT_NE(refusal("file/x").find("file: expected a folder that can be written, got a file"), std::string::npos);
  EXPECT_NE(refusal("new").find(".new.partial: expected no such name"), std::string::npos);
  EXPECT_NE(refusal("half").find(".qad_partial: expected no such name"), std::string::npos);
  EXPECT_EQ(files_in(), before);
}

TEST_F(Output, OfOneProcessAtATime) {
  fs::create_directories(at("empty"));
  for (const char* name : {"new", "empty"}) {
    OutputFolder first(at(name));
    const std::string message = error_of([&] { const OutputFolder second(at(name)); });
    EXPECT_NE(message.find("expected a folder that no other qad writes to, got process "), std::string::npos);
    fill(first, "new");
    first.put_in_place("config");
    EXPECT_EQ(files_in(name), whole_);
  }
}

TEST_F(Output, DoesNotReplaceWhatCameMeanwhile) {
  OutputFolder out(at("new"));
  fill(out, "new");
  write_file_atomically(at("new/notes"), "mine");
  EXPECT_NE(error_of([&] { out.put_in_place("config"); }).find("File exists"), std::string::npos);
  EXPECT_EQ(files_in("new"), (Files{{"notes", "mine"}}));

  fs::create_directories(at("empty"));
  OutputFolder inside(at("empty"));
  fill(inside, "new");
  write_file_atomically(at("empty/weights"), "mine");
  EXPECT_NE(error_of([&] { inside.put_in_place("config"); }).find("expected no file of this name"), std::string::npos);
  EXPECT_EQ(read_file(at("empty/weights"), "a file"), "mine");
  EXPECT_FALSE(fs::exists(at("empty/config")));
}

TEST_F(Output, ReplacesAnEarlierOneAndNothingElse) {
  write(at("out"), "old");
  write_file_atomically(at("out/notes"), "mine");
  const ino_t inode = inode_of(at("out"));
  {
    OutputFolder out(at("out"), both);
    write_file_atomically(out.path() / "config", "new");
    write_file_atomically(out.path() / "codes", "new");
    EXPECT_EQ(read_file(at("out/config"), "a file"), "old") << "until the new one is whole";
    EXPECT_FALSE(is_unfinished_output(at("out"), "config"));
    out.put_in_place("config");
  }
  EXPECT_EQ(files_in("out"), (Files{{"codes", "new"}, {"config", "new"}, {"notes", "mine"}}));
  EXPECT_EQ(inode_of(at("out")), inode);
}

TEST_F(Output, MayHaveFoldersOfItsOwn) {
  const auto write_with = [&](const std::vector<std::string>& names) {
    OutputFolder out(at("out"), [&](const fs::path& place) {
      std::set<std::string> earlier = {"config", "a/b/1", "a/2", "c/3"};
      std::erase_if(earlier, [&](const std::string& name) { return !fs::exists(place / name); });
      return earlier;
    });
    for (const std::string& name : names) write_file_atomically(out.path() / name, "of " + names.back());
    out.put_in_place("config");
  };
  fs::create_directories(at("out"));  // moved into, file by file
  write_with({"a/b/1", "a/2", "c/3", "config"});
  write_file_atomically(at("out/c/notes"), "mine");
  write_with({"a/2", "config"});
  EXPECT_EQ(files_in("out"),
            (Files{{"a", "/"}, {"a/2", "of config"}, {"c", "/"}, {"c/notes", "mine"}, {"config", "of config"}}));

  const Files before = files_in("out");
  EXPECT_NE(error_of([&] {
              write_with({"c/notes", "config"});
            }).find("c/notes: expected no file of this name"),
            std::string::npos);
  write_file_atomically(at("elsewhere/x"), "mine");
  fs::create_directory_symlink(at("elsewhere"), at("out/d"));
  EXPECT_NE(error_of([&] {
              write_with({"d/1", "config"});
            }).find("out/d: expected no file of this name"),
            std::string::npos);
  fs::remove(at("out/d"));
  EXPECT_EQ(files_in("out"), before);
  EXPECT_EQ(files_in("elsewhere"), (Files{{"x", "mine"}}));
}

TEST_F(Output, ThatAKilledProcessBeganIsCleanedUp) {
  write_file_atomically(at(".new.partial/.qad_partial"), "process 4711 on elsewhere\n");
  write_file_atomically(at(".new.partial/weights"), "half");
  EXPECT_TRUE(is_unfinished_output(at(".new.partial"), "config"));
  write(at("new"), "new");
  write_file_atomically(at("empty/.qad_partial/.qad_partial"), "process 4711 on elsewhere\n");
  write_file_atomically(at("empty/.qad_partial/weights"), "half");
  EXPECT_TRUE(is_unfinished_output(at("empty"), "config"));
  write(at("empty"), "new");
  write_file_atomically(at("renamed/.qad_partial"), "process 4711 on elsewhere\n");  // and no more than that
  write(at("renamed"), "new");
  for (const char* name : {"new", "empty", "renamed"}) EXPECT_EQ(files_in(name), whole_) << name;
  EXPECT_FALSE(fs::exists(at(".new.partial")));
}

// A process may be killed after any of the moves.
TEST_F(Output, ThatWasBeingMovedIsFinishedByTheNext) {
  struct Stage {
    Files there, waiting;
  };
  const Files moves = {{".qad_partial", ""},
                       {".qad_moves", "new config\nnew weights\nold config\nold codes\nlast config\n"}};
  const std::vector<Stage> stages = {
      {{{"config", "old"}, {"codes", "old"}}, {{"config", "new"}, {"weights", "new"}}},
      {{{"codes", "old"}}, {{"config", "new"}, {"weights", "new"}}},
      {{{"codes", "old"}, {"weights", "new"}}, {{"config", "new"}}},
      {{{"weights", "new"}}, {{"config", "new"}}},
      {{{"config", "new"}, {"weights", "new"}}, {}},
  };
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const std::string out = "out" + std::to_string(i);
    for (const auto& [name, text] : stages[i].there) write_file_atomically(at(out) / name, text);
    for (const auto& [name, text] : stages[i].waiting) write_file_atomically(at(out) / ".qad_partial" / name, text);
    for (const auto& [name, text] : moves) write_file_atomically(at(out) / ".qad_partial" / name, text);
    EXPECT_EQ(is_unfinished_output(at(out), "config"), i >= 1 && i <= 3);
    Files found;
    const OutputFolder next(at(out), [&](const fs::path& place) {
      for (const auto& entry : fs::directory_iterator(place))
        if (entry.is_regular_file()) found[entry.path().filename()] = read_file(entry.path(), "a file");
      return both(place);
    });
    EXPECT_EQ(found, whole_) << i;
  }
}

}  // namespace
}  // namespace qad
