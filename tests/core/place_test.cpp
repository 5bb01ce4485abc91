// Where a path leads, and that files are written and read without harm to what stands there: links, devices, pipes,
// permissions, long names.
#include "autograd/base/place.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>
#include <string>

#include "autograd/base/atomic_file.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TemporaryFolder;

class Places : public ::testing::Test {
 protected:
  Places() { fs::create_directories(at("real/empty")); }
  [[nodiscard]] fs::path at(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.insert(entry.path().filename());
    return names;
  }
  static std::string contents(const fs::path& file) { return read_file(file, "a file"); }
  static mode_t mode(const fs::path& file) {
    struct stat status {};
    EXPECT_EQ(::stat(file.c_str(), &status), 0);
    return status.st_mode;
  }

  TemporaryFolder folder_;
};

TEST_F(Places, LeadToWhatLinksMean) {
  fs::create_symlink("real/empty", at("link"));
  fs::create_symlink("real/new", at("dangling"));
  fs::create_symlink(at("dangling"), at("two"));
  fs::create_symlink("real", at("parent"));
  const auto expect_place = [](const fs::path& path, const fs::path& expected) {
    const fs::path place = real_place(path);
    EXPECT_EQ(fs::weakly_canonical(fs::absolute(place)), fs::weakly_canonical(fs::absolute(expected))) << path;
    EXPECT_TRUE(place.has_parent_path() || place == ".") << path;
    EXPECT_FALSE(fs::is_symlink(place)) << path;
  };
  for (const char* same : {"link", "link/", "link/."}) expect_place(at(same), at("real/empty"));
  expect_place(at("link/.."), at("real"));  // not the link's own folder
  expect_place(at("link/../x"), at("real/x"));
  expect_place(at("dangling"), at("real/new"));
  expect_place(at("two/"), at("real/new"));
  expect_place(at("dangling/a/b"), at("real/new/a/b"));
  expect_place(at("parent/a/b/"), at("real/a/b"));
  for (const char* own : {"/", ".", "./", "no such name", "no/such/name"}) expect_place(own, own);
}

TEST_F(Places, ThatCanNotBeAreNamed) {
  fs::create_symlink("circle", at("circle"));
  write_file_atomically(at("file"), "mine");
  EXPECT_NE(error_of([&] { static_cast<void>(real_place(at("circle"))); }).find("circle: expected a place"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              static_cast<void>(real_place(at("file/x")));
            }).find("file: expected a folder that can be written, got a file"),
            std::string::npos);
  EXPECT_NE(error_of([&] { static_cast<void>(real_place("/dev/stdout")); }).find("an open file of a process"),
            std::string::npos);
  EXPECT_NE(error_of([&] { static_cast<void>(real_place("")); }).find("an empty one"), std::string::npos);
  EXPECT_NE(error_of([&] { check_file_place("/proc/x"); }).find("/proc/x: expected a file that can be written"),
            std::string::npos);
  EXPECT_NE(error_of([&] { check_file_place(at("real")); }).find("got a folder"), std::string::npos);
}

TEST_F(Places, AreTriedWithoutATrace) {
  check_file_place(at("new"));
  check_file_place(at("a/b/new"));
  EXPECT_EQ(names(), (std::set<std::string>{"real"}));
}

TEST_F(Places, LinksStayLinksAndTheirTargetsAreReplaced) {
  write_file_atomically(at("real/target"), "old");
  fs::create_symlink("real/target", at("link"));
  fs::create_symlink("real/new", at("dangling"));
  fs::create_hard_link(at("real/target"), at("other name"));
  write_file_atomically(at("link"), "new");
  write_file_atomically(at("dangling"), "new");
  EXPECT_EQ(fs::read_symlink(at("link")), "real/target");
  EXPECT_EQ(contents(at("real/target")), "new");
  EXPECT_EQ(contents(at("real/new")), "new");
  EXPECT_EQ(contents(at("other name")), "old");
  EXPECT_EQ(names(), (std::set<std::string>{"dangling", "link", "other name", "real"}));
}

TEST_F(Places, DevicesPipesAndSocketsStayWhatTheyAre) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", at("link"));
  for (const char* name : {"pipe", "link"}) {
    EXPECT_NE(error_of([&] { write_file_atomically(at(name), "x"); }).find("got a pipe"), std::string::npos);
    EXPECT_NE(error_of([&] { check_file_place(at(name)); }).find("got a pipe"), std::string::npos);
  }
  EXPECT_TRUE(S_ISFIFO(mode(at("pipe"))));
  if (::mknod(at("null").c_str(), S_IFCHR | 0666, ::makedev(1, 3)) != 0) GTEST_SKIP() << "no right to make a device";
  EXPECT_NE(error_of([&] { write_file_atomically(at("null"), "x"); }).find("got a device"), std::string::npos);
  EXPECT_TRUE(S_ISCHR(mode(at("null"))));
}

TEST_F(Places, KeepThePermissionsOfWhatIsReplaced) {
  write_file_atomically(at("private"), "old");
  fs::permissions(at("private"), fs::perms::owner_read);
  mode_t while_written = 0;
  write_atomically(at("private"), [&](const fs::path& temporary) { while_written = mode(temporary); });
  EXPECT_EQ(while_written & 0777, 0600u);
  EXPECT_EQ(mode(at("private")) & 07777, 0400u);
}

TEST_F(Places, HaveTemporariesThatNobodyElseHas) {
  const std::string process = ".tmp." + std::to_string(::getpid());
  fs::create_symlink(at("real/precious"), at("file" + process));  // as a killed process, or an enemy, left it
  write_file_atomically(at("real/precious"), "mine");
  write_atomically(at("file"), [&](const fs::path& temporary) {
    EXPECT_EQ(temporary, at("file" + process + ".1"));
    EXPECT_TRUE(is_temporary_of("file", temporary.filename().string()));
    write_file_atomically(temporary, "new");
  });
  EXPECT_EQ(contents(at("real/precious")), "mine");
  EXPECT_EQ(contents(at("file")), "new");
  EXPECT_TRUE(is_temporary_of("best.h5", "best.h5.tmp.4711"));
  for (const char* other : {"best.h5", "best.h5.tmp.", "best.h5.tmp.notes", "best.h5.tmp.1.x", "abest.h5.tmp.1"})
    EXPECT_FALSE(is_temporary_of("best.h5", other)) << other;
}

TEST_F(Places, MayHaveTheLongestNames) {
  const std::string name(255, 'x');
  std::string umlauts;
  for (int i = 0; i < 127; ++i) umlauts += "\xc3\xa4";
  for (const std::string& file : {name, umlauts, std::string("two\nlines")}) {
    check_file_place(at(file));
    write_file_atomically(at(file), "x");
    EXPECT_EQ(contents(at(file)), "x");
  }
  const std::string message = error_of([&] { write_file_atomically(at(name + "x"), "x"); });
  EXPECT_NE(message.find("File name too long"), std::string::npos) << message;
  EXPECT_EQ(error_of([&] { static_cast<void>(read_file(at("three\nlines\x1b"), "a file")); }).find('\n'),
            std::string::npos);
}

TEST_F(Places, AreReadWithinBounds) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { static_cast<void>(read_file(at("pipe"), "a config")); }),
            at("pipe").string() + ": expected a config, got a pipe");
  EXPECT_EQ(error_of([] { static_cast<void>(read_file("/dev/zero", "a config")); }),
            "/dev/zero: expected a config, got a device");
  EXPECT_EQ(error_of([] { static_cast<void>(read_file_or_pipe("/dev/zero", "a text", 9)); }),
            "/dev/zero: expected a text, got a device");
  EXPECT_NE(error_of([&] { static_cast<void>(read_file(at("real"), "a config")); }).find("got a folder"),
            std::string::npos);
  EXPECT_FALSE(contents("/proc/self/status").empty()) << "a file that says its size is 0";

  write_file_atomically(at("small"), std::string(3 << 20, 'x'));
  EXPECT_EQ(read_file(at("small"), "a file", 3 << 20).size(), 3u << 20);
  EXPECT_EQ(error_of([&] { static_cast<void>(read_file(at("small"), "a config", 2 << 20)); }),
            at("small").string() + ": expected a config of at most 2 MiB, got 3145728 bytes");
  fs::resize_file(at("small"), std::uint64_t{1} << 40);  // a hole
  EXPECT_NE(error_of([&] { static_cast<void>(read_file(at("small"), "a config")); }).find("at most 256 MiB"),
            std::string::npos);
}

}  // namespace
}  // namespace qad
