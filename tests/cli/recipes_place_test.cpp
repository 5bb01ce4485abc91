// The program finds its recipes wherever it is put, and says where it looked.
#include <gtest/gtest.h>

#include "tests/support/process.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;

class PlacedProgram : public ::testing::Test {
 protected:
  // The program at `place` of an otherwise empty folder.
  std::string program_at(const fs::path& place) {
    fs::create_directories((folder_ / place).parent_path());
    fs::copy_file(QAD_PROGRAM, folder_ / place);
    return (folder_ / place).string();
  }
  void put_recipes(const fs::path& place) {
    fs::create_directories((folder_ / place).parent_path());
    fs::copy(testing::source_dir() / "recipes", folder_ / place, fs::copy_options::recursive);
  }
  // The working directory has recipes too: it doesn't count.
  static Outcome list(const std::string& program, const testing::Environment& more = {}) {
    testing::Environment environment = {{"QAD_RECIPES", ""}};
    for (const auto& [name, value] : more) environment[name] = value;
    return testing::Process({"recipes", "list", "--json"}, environment, program).wait();
  }
  void expect_found_in(const std::string& program, const fs::path& place) {
    const Outcome outcome = list(program);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find((folder_ / place / "stories/qad.yaml").string()), std::string::npos) << outcome.out;
  }

  testing::TemporaryFolder folder_;
};

TEST_F(PlacedProgram, BesideItself) {
  put_recipes("recipes");
  expect_found_in(program_at("qad"), "recipes");
}

TEST_F(PlacedProgram, AboveItself) {
  put_recipes("recipes");
  expect_found_in(program_at("a/b/c/qad"), "recipes");
}

TEST_F(PlacedProgram, AsInstalledAndThroughALink) {
  put_recipes("usr/share/qad/recipes");
  expect_found_in(program_at("usr/bin/qad"), "usr/share/qad/recipes");
  fs::create_symlink(folder_ / "usr/bin/qad", folder_ / "link");
  expect_found_in((folder_ / "link").string(), "usr/share/qad/recipes");
}

TEST_F(PlacedProgram, TheEnvironmentWinsAndIsTheOnlyPlace) {
  put_recipes("usr/share/qad/recipes");
  put_recipes("own");
  const std::string program = program_at("usr/bin/qad");
  const Outcome own = list(program, {{"QAD_RECIPES", (folder_ / "own").string()}});
  EXPECT_NE(own.out.find((folder_ / "own/stories/qad.yaml").string()), std::string::npos) << own.out;
  const Outcome none = list(program, {{"QAD_RECIPES", "/nowhere"}});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err,
            "qad: recipes: expected a folder of recipes, got none (looked in /nowhere, which QAD_RECIPES names)\n");
}

TEST_F(PlacedProgram, SaysWhereItLooked) {
  fs::create_directories(folder_ / "bin/recipes");  // anybody's folder of this name is not ours
  const Outcome outcome = list(program_at("bin/qad"));
  if (outcome.exit_code == 0) GTEST_SKIP() << "qad is installed on this machine";
  EXPECT_EQ(outcome.exit_code, 2);
  const std::string above = folder_.path().string();
  EXPECT_EQ(
      outcome.err.rfind("qad: recipes: expected a folder of recipes, got none (looked in " + above + "/bin/recipes, " +
                            above + "/bin/share/qad/recipes, " + above + "/recipes, " + above + "/share/qad/recipes, ",
                        0),
      0u)
      << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("/share/qad/recipes; QAD_RECIPES can name it)\n")) << outcome.err;
}

}  // namespace
}  // namespace qad
