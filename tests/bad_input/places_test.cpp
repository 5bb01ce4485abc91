// Where outputs may be: links, mount points, the working directory, folders whose parents can't be written; and what is
// refused before the work begins, with nothing changed.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "autograd/base/output_folder.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/small_disk.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::kFailed;
using testing::kUsage;
using testing::Outcome;
using testing::Workplace;
// A finished run, and commands that write from it.
class Places : public ::testing::Test {
 protected:
  void SetUp() override { work_.run(work_.recipe(), "run"); }

  [[nodiscard]] Arguments exporting(const std::string& out, const std::string& run = "run") const {
    return {"export", work_.at(run), "--format", "dense", "--out", out};
  }
  [[nodiscard]] Arguments logits(const std::string& file) const { return {"eval", work_.at("run"), "--logits", file}; }
  void exported(const std::string& out, const std::string& place) const {
    const Outcome outcome = Workplace::start(exporting(out));
    EXPECT_EQ(outcome.exit_code, 0) << out << ": " << outcome.err;
    EXPECT_TRUE(fs::exists(work_.path(place) / "config.json")) << out;
  }
  // `command` in a shell whose working directory is `folder`.
  [[nodiscard]] Outcome in_shell(const std::string& folder, const Arguments& command,
                                 const std::string& before = "") const {
    Arguments arguments = {"-c", "cd \"$0\" && " + before + " exec \"$@\"", work_.at(folder), QAD_PROGRAM};
    arguments.insert(arguments.end(), command.begin(), command.end());
    arguments.insert(arguments.end(), {"--quiet", "--threads", "1"});
    return testing::Process(arguments, {}, "/bin/sh").wait();
  }
  // What comes first if the work comes before the place.
  void make_the_work_impossible() const { fs::remove(work_.path("teacher/model.safetensors")); }

  Workplace work_;
};

TEST_F(Places, OfExportsMayBeLinksAndTheWorkingDirectory) {
  for (const char* folder : {"real", "here", "twice"}) fs::create_directories(work_.path(folder));
  fs::create_symlink("real", work_.path("link"));
  fs::create_symlink("later", work_.path("dangling"));
  exported(work_.at("link"), "real");
  EXPECT_TRUE(fs::is_symlink(work_.path("link")));
  exported(work_.at("dangling"), "later");
  EXPECT_TRUE(fs::is_symlink(work_.path("dangling")));
  exported(work_.at("new/deep//"), "new/deep");
  exported(work_.at("real/../beside"), "beside");

  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(work_.at("here").c_str(), &before), 0);
  for (int time = 0; time < 2; ++time) {  // the second replaces the first
    const Outcome outcome = in_shell("here", exporting("."));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(fs::exists(work_.path("here/config.json")));
  }
  ASSERT_EQ(::stat(work_.at("here").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_FALSE(fs::exists(work_.path("here/.qad_partial")));
}

TEST_F(Places, OfRunsMayBeLinksAndTheWorkingDirectory) {
  for (const char* folder : {"real", "here"}) fs::create_directories(work_.path(folder));
  fs::create_symlink("real", work_.path("link"));
  fs::create_symlink("later", work_.path("dangling"));
  const fs::path recipe = work_.recipe();
  work_.run(recipe, "link");
  work_.run(recipe, "dangling");
  EXPECT_TRUE(fs::exists(work_.path("real/report.html")) && fs::is_symlink(work_.path("link")));
  EXPECT_TRUE(fs::exists(work_.path("later/report.html")) && fs::is_symlink(work_.path("dangling")));
  const Outcome outcome = in_shell("here", Workplace::run_arguments(recipe, "."));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(work_.path("here/report.html")));
  for (const char* folder : {"real", "later", "here"}) EXPECT_FALSE(fs::exists(work_.path(folder) / ".qad_lock"));

  // A start that fails gives the place back as it was.
  fs::create_symlink("never", work_.path("to_nothing"));
  const std::string latin = work_.write("latin.txt", "\xe9");
  for (const char* out : {"to_nothing", "a/b/c"})
    work_.refused(Workplace::run_arguments(recipe, work_.at(out), {"data.train.text=" + latin}), kFailed,
                  {"latin.txt"});
}

TEST_F(Places, MayBeMountPoints) {
  const testing::SmallDisk disk(work_.path("disk"), "20m");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a disk";
  fs::create_directories(work_.path("disk/lost+found"));  // as on every new ext4
  exported(work_.at("disk"), "disk");
  exported(work_.at("disk"), "disk");
  {
    const testing::SmallDisk full(work_.path("full_disk"), "64k");
    for (const std::string out : {"full_disk", "full_disk/new"}) {
      const Outcome outcome = Workplace::start(exporting(work_.at(out)));
      EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
      EXPECT_NE(outcome.err.find("No space left on device"), std::string::npos) << outcome.err;
      EXPECT_TRUE(fs::is_empty(work_.path("full_disk")));
    }
  }
  const testing::SmallDisk second(work_.path("run_disk"), "20m");
  work_.run(work_.recipe(), "run_disk");
  EXPECT_TRUE(fs::exists(work_.path("run_disk/summary.json")));
}

// Another user, if this one is root: whom permissions bind.
class AsNobody : public Places {
 protected:
  void SetUp() override {
    Places::SetUp();
    if (::geteuid() != 0) return;
    for (const char* open : {"", "run", "teacher"}) fs::permissions(work_.path(open), fs::perms(0755));
    if (start({"--version"}).exit_code != 0) GTEST_SKIP() << "setpriv can't start the program as nobody";
  }
  [[nodiscard]] static Outcome start(const Arguments& command) {
    Arguments arguments = {"--reuid", "65534", "--regid", "65534", "--clear-groups", QAD_PROGRAM};
    if (::geteuid() != 0) arguments.clear();
    arguments.insert(arguments.end(), command.begin(), command.end());
    return testing::Process(arguments, {}, ::geteuid() == 0 ? "/usr/bin/setpriv" : QAD_PROGRAM).wait();
  }
};

TEST_F(AsNobody, AFolderThatCanBeWrittenIsEnough) {
  fs::create_directories(work_.path("closed/open"));
  fs::permissions(work_.path("closed/open"), fs::perms(0777));
  fs::permissions(work_.path("closed"), fs::perms(0555));
  const Outcome outcome = start(exporting(work_.at("closed/open")));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(work_.path("closed/open/config.json")));

  make_the_work_impossible();
  const auto before = testing::contents_of(work_.path(""));
  for (const Arguments& command : {exporting(work_.at("closed/new")), logits(work_.at("closed/logits"))}) {
    const Outcome refused = start(command);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("that can be written, got Permission denied"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(testing::contents_of(work_.path("")), before);
  fs::permissions(work_.path("closed"), fs::perms(0755));
}

TEST_F(Places, OfExportsAreDecidedBeforeTheWork) {
  make_the_work_impossible();
  const std::string text = work_.at("text.txt");
  const testing::TemporaryFolder elsewhere;
  fs::create_symlink("circle", elsewhere / "circle");
  ASSERT_EQ(::mkfifo(work_.at("pipe").c_str(), 0600), 0);
  work_.write("full/notes", "mine");
  const std::vector<std::tuple<std::string, ExitCode, std::string>> places = {
      {work_.at("full"), kUsage, "got a folder with other files"},
      {text, kUsage, "expected a new or empty folder, got a file"},
      {work_.at("pipe"), kUsage, "expected a new or empty folder, got a pipe"},
      {"/dev/null", kUsage, "expected a new or empty folder, got a device"},
      {"/dev/stdout", kUsage, "got an open file of a process"},
      {(elsewhere / "circle").string(), kFailed, "expected a place that can be reached"},
      {text + "/x", kFailed, text + ": expected a folder that can be written, got a file"},
      {"/proc/x", kFailed, "/proc/x: expected a folder that can be written"},
      {work_.at(std::string(256, 'x')), kFailed, "File name too long"},
      {"/", kUsage, "got a folder with other files"},
      {"", kUsage, "--out: expected a path, got an empty one"},
  };
  for (const auto& [place, code, words] : places) work_.refused(exporting(place), code, {words});
}

TEST(EmptyPath, IsNamedAndNotTheWorkingDirectory) {
  const Workplace work;
  for (const char* verb : {"resume", "eval", "inspect", "generate"})
    work.refused({verb, ""}, kUsage, {"expected a path, got an empty one"});
}

TEST_F(Places, OfLogitsAreDecidedBeforeTheWork) {
  const auto figures = [&](const std::string& file) { return Workplace::start(logits(file)).exit_code; };
  work_.write("empty", "");
  fs::create_symlink("empty", work_.path("link"));
  EXPECT_EQ(figures(work_.at("link")), 0);
  EXPECT_TRUE(fs::is_symlink(work_.path("link")));
  EXPECT_GT(fs::file_size(work_.path("empty")), 1000u);
  EXPECT_EQ(figures(work_.at("empty")), 0) << "its own logits may be replaced";
  EXPECT_EQ(figures(work_.at("new/logits.safetensors")), 0);

  make_the_work_impossible();
  ASSERT_EQ(::mkfifo(work_.at("pipe").c_str(), 0600), 0);
  work_.write("notes", "mine");
  fs::create_symlink("notes", work_.path("to_notes"));
  std::vector<std::pair<std::string, std::string>> places = {
      {work_.at("notes"), "expected a new file, or logits of an earlier eval"},
      {work_.at("to_notes"), "expected a new file, or logits of an earlier eval"},
      {work_.at("teacher"), "got a folder"},
      {work_.at("pipe"), "got a pipe"},
      {"/dev/null", "got a device"},
      {"/dev/stdout", "got an open file of a process"}};
  if (::mknod(work_.at("null").c_str(), S_IFCHR | 0666, ::makedev(1, 3)) == 0)
    places.emplace_back(work_.at("null"), "got a device");
  for (const auto& [file, words] : places) work_.refused(logits(file), kUsage, {words});
}

TEST_F(Places, OfAnEarlierExportAreItsRunsAlone) {
  exported(work_.at("out"), "out");
  work_.write("out/README.md", "mine");
  exported(work_.at("out"), "out");
  EXPECT_EQ(read_file(work_.path("out/README.md"), "notes"), "mine");

  work_.run(work_.recipe(), "other");
  work_.refused(exporting(work_.at("out"), "other"), kUsage,
                {"or an earlier export of this run, got an export of another"});
  const std::string config = read_file(work_.path("out/config.json"), "a config");
  work_.write("out/config.json", config + "\n");
  work_.refused(exporting(work_.at("out")), kFailed, {"out/config.json: expected the file that the export wrote"});
  work_.write("out/config.json", config);
  fs::rename(work_.path("run"), work_.path("moved"));  // it is still the same run
  EXPECT_EQ(Workplace::start(exporting(work_.at("out"), "moved")).exit_code, 0);
}

}  // namespace
}  // namespace qad
