// The Debian package, unpacked into an empty folder: what is in it, and the quickstart's comparison run from there.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "autograd/base/version.h"
#include "qad/report/summary.h"
#include "tests/support/process.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;

Outcome outcome_of(const std::string& program, const testing::Arguments& arguments,
                   std::chrono::seconds limit = std::chrono::seconds(300)) {
  return testing::Process(arguments, {}, program).wait(limit);
}

// Made and unpacked once.
class Package : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<testing::TemporaryFolder>();
    const Outcome cpack = outcome_of(
        QAD_CPACK, {"--config", QAD_BUILD_DIR "/CPackConfig.cmake", "-G", "DEB", "-B", (*folder_ / "made").string()});
    ASSERT_EQ(cpack.exit_code, 0) << cpack.out << cpack.err;
    for (const auto& entry : fs::directory_iterator(*folder_ / "made"))
      if (entry.path().extension() == ".deb") package_ = entry.path();
    fs::create_directories(root());
    fs::create_directories(work());
    const Outcome unpacked = outcome_of("/usr/bin/dpkg-deb", {"-x", package_.string(), root().string()});
    ASSERT_EQ(unpacked.exit_code, 0) << unpacked.err;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static fs::path root() { return *folder_ / "root"; }
  static fs::path work() { return *folder_ / "elsewhere"; }
  // The unpacked program in a folder that has nothing to do with it, and with next to no environment.
  static Outcome installed(const testing::Arguments& arguments, std::chrono::seconds limit) {
    testing::Arguments all = {"-i",
                              "-C",
                              work().string(),
                              "PATH=/usr/bin:/bin",
                              "OMP_WAIT_POLICY=passive",
                              (root() / "usr/bin/qad").string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return outcome_of("/usr/bin/env", all, limit);
  }
  static std::string field(const std::string& name) {
    std::string text = outcome_of("/usr/bin/dpkg-deb", {"-f", package_.string(), name}).out;
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
  }

  static inline std::unique_ptr<testing::TemporaryFolder> folder_;
  static inline fs::path package_;
};

TEST_F(Package, SaysWhatItIs) {
  EXPECT_EQ(package_.filename().string().rfind("qad_" + std::string(kVersion) + "_", 0), 0u) << package_;
  EXPECT_EQ(field("Package"), "qad");
  EXPECT_EQ(field("Version"), kVersion);
  EXPECT_EQ(field("Section"), "science");
  EXPECT_NE(field("Maintainer"), "");
  const std::string depends = field("Depends");
  for (const char* library : {"libc6", "libdnnl2", "libhdf5", "libyaml-cpp", "libsentencepiece"})
    EXPECT_NE(depends.find(library), std::string::npos) << depends;
}

TEST_F(Package, HoldsProgramRecipesPagesAndCompletions) {
  for (const char* file :
       {"bin/qad", "share/qad/recipes/README.md", "share/qad/recipes/paper/quick.yaml",
        "share/qad/recipes/paper/model/model.safetensors", "share/man/man1/qad.1", "share/man/man1/qad-run.1",
        "share/bash-completion/completions/qad", "share/zsh/vendor-completions/_qad",
        "share/fish/vendor_completions.d/qad.fish", "share/doc/qad/README.md"})
    EXPECT_TRUE(fs::is_regular_file(root() / "usr" / file)) << file;
  std::set<std::string> programs, tops;
  for (const auto& entry : fs::directory_iterator(root() / "usr/bin")) programs.insert(entry.path().filename());
  for (const auto& entry : fs::directory_iterator(root())) tops.insert(entry.path().filename());
  EXPECT_EQ(programs, std::set<std::string>{"qad"});
  EXPECT_EQ(tops, std::set<std::string>{"usr"});
  const Outcome dynamic = outcome_of("/usr/bin/objdump", {"-p", (root() / "usr/bin/qad").string()});
  EXPECT_EQ(dynamic.out.find("RPATH"), std::string::npos);
  EXPECT_EQ(dynamic.out.find("RUNPATH"), std::string::npos);
}

TEST_F(Package, ExplainsItself) {
  const std::chrono::seconds limit(60);
  EXPECT_EQ(installed({"version"}, limit).out, "qad " + std::string(kVersion) + "\n");
  const Outcome list = installed({"recipes", "list", "--json"}, limit);
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_NE(list.out.find((root() / "usr/share/qad/recipes/paper/quick.yaml").string()), std::string::npos);
  EXPECT_EQ(installed({"recipes", "check"}, limit).exit_code, 0);
}

// Another kind of CPU differs in the last digits, which training makes larger.
void expect_near(double value, double expected, double share, const std::string& what) {
  EXPECT_NEAR(value, expected, share * expected) << what;
}

// The figures are those of README.md.
TEST_F(Package, RunsTheQuickstartsComparison) {
  const Outcome run = installed({"compare", "paper/quick", "--out", "out"}, std::chrono::seconds(1700));
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_EQ((run.out + run.err).find('\x1b'), std::string::npos);
  const RunSummary summary = read_summary(work() / "out/summary.json");
  ASSERT_EQ(summary.arms.size(), 4u);
  const ArmSummary &bf16 = summary.arms[0], &ptq = summary.arms[1], &qat = summary.arms[2], &qad = summary.arms[3];
  expect_near(ptq.eval.kl_mean, 0.0903, 0.02, "KL of ptq");
  expect_near(qat.eval.kl_mean, 0.1225, 0.15, "KL of qat");
  expect_near(qad.eval.kl_mean, 0.01958, 0.15, "KL of qad");
  expect_near(qad.bits_per_weight, 4.83, 0.002, "bits a weight");
  EXPECT_NEAR(bf16.problems.mean.exact_match, 0.925, 0.01);
  EXPECT_NEAR(ptq.problems.mean.exact_match, 0.850, 0.02);
  EXPECT_NEAR(qat.problems.mean.exact_match, 0.562, 0.08);
  EXPECT_NEAR(qad.problems.mean.exact_match, 0.905, 0.03);
  ASSERT_EQ(summary.exports.size(), 3u);
  for (const ExportSummary& exported : summary.exports)
    EXPECT_TRUE(fs::is_directory(work() / "out" / exported.folder)) << exported.folder;
}

}  // namespace
}  // namespace qad
