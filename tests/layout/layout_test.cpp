// The shape of the tree, held by a machine: who may include whom, the one door to each library, how long a file may be.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "autograd/core/atomic_file.h"
#include "autograd/core/version.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

/// Lowest rung first: a folder may include itself and what stands before it. Families and decoding are part of
/// `models`.
const std::vector<std::string> kLadder = {
    "autograd/core",    "autograd/reference",
    "autograd/kernels", "autograd/tape",
    "autograd/ops",     "autograd/nn",
    "autograd/optim",   "data",
    "models",           "qad/formats",
    "qad/quant",        "qad/loss",
    "qad/calib",        "qad/io",
    "qad/train",        "qad/exporters",
    "qad/report",       "qad/recipe",
    "qad/verbs",        "qad/cli",
};

/// A header of others and the files that may include it, both as regular expressions.
struct Door {
  std::string header, files, why;
};
const std::vector<Door> kDoors = {
    {"yaml-cpp/.*", "qad/recipe/.*\\.cpp", "no component sees YAML"},
    {"boost/.*", "qad/cli/.*", "only the program has a command line"},
    {"spdlog/.*", "autograd/core/log\\.cpp", "everybody else logs by autograd/core/log.h"},
    {"(hdf5|H5).*\\.h", "data/(hdf5_[a-z]+|token_file)\\.(h|cpp)", "HDF5's traps are known in one place"},
    {"(.*/)?(dnnl.*|cblas)\\.(h|hpp)", "autograd/kernels/.*", "GEMM goes through the kernel table"},
    {"Eigen/.*", "autograd/reference/.*", "the definitions that kernels are held against"},
    {"hwy/.*", "(autograd/kernels|qad/formats)/.*", "SIMD lives in kernels and number formats"},
    {"omp\\.h", "autograd/core/parallel\\.cpp", "loops are parallel_for"},
    {"nlohmann/json\\.hpp", ".*\\.cpp", "headers stay light"},
    {"sentencepiece_.*\\.h", "data/sentencepiece_tokenizer\\.cpp|tests/data/.*", "one kind of tokenizer among others"},
    {"pcre2\\.h", "data/.*\\.cpp", "regular expressions of tokenizers"},
    {"(zlib|zstd.*)\\.h", "data/compressed_file\\.cpp", "whoever reads text reads it decompressed"},
    {"gtest/.*", "tests/.*", "tests only"},
    {"benchmark/.*", "bench/.*", "benchmarks only"},
};

constexpr int kMostLines = 500;    // fails
constexpr int kBudgetLines = 400;  // is told: such a file is usually two things

struct Include {
  std::string file;  ///< relative to the project
  int line;
  bool in_brackets;  ///< <…>
  std::string header;

  [[nodiscard]] bool is_ours() const { return fs::exists(testing::source_dir() / header); }
};

std::vector<std::string> sources() {
  std::vector<std::string> files;
  for (const char* top : {"autograd", "data", "models", "qad", "tests", "bench"}) {
    const fs::path folder = testing::source_dir() / top;
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string ending = entry.path().extension().string();
      if (ending == ".h" || ending == ".cpp")
        files.push_back(fs::relative(entry.path(), testing::source_dir()).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Include> includes() {
  static const std::regex pattern("^\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"]");
  std::vector<Include> all;
  for (const std::string& file : sources()) {
    std::ifstream text(testing::source_dir() / file);
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
      std::smatch match;
      if (std::regex_search(line, match, pattern)) all.push_back({file, number, match[1] == "<", match[2]});
    }
  }
  return all;
}

/// The index of the rung that a file stands on; -1 for tests, benchmarks and what is none of ours.
int rung_of(const std::string& file) {
  for (std::size_t i = 0; i < kLadder.size(); ++i)
    if (file.starts_with(kLadder[i] + "/")) return static_cast<int>(i);
  return -1;
}

TEST(Layout, IncludesOnlyGoDownTheLadder) {
  for (const Include& include : includes()) {
    const std::string where = include.file + ":" + std::to_string(include.line) + " includes " + include.header;
    if (!include.is_ours()) continue;
    EXPECT_FALSE(include.in_brackets) << where << " in <>";
    const int from = rung_of(include.file), to = rung_of(include.header);
    if (from < 0) continue;  // tests and benchmarks may use everything
    EXPECT_GE(to, 0) << where << ", which stands on no rung";
    EXPECT_LE(to, from) << where << ", which stands above";
  }
}

TEST(Layout, EverySourceStandsOnARung) {
  for (const std::string& file : sources())
    EXPECT_TRUE(rung_of(file) >= 0 || file.starts_with("tests/") || file.starts_with("bench/")) << file;
}

TEST(Layout, EveryLibraryHasOneDoor) {
  for (const Door& door : kDoors) {
    const std::regex header(door.header), files(door.files);
    for (const Include& include : includes()) {
      if (include.is_ours() || !std::regex_match(include.header, header)) continue;
      const bool is_test = include.file.starts_with("tests/") || include.file.starts_with("bench/");
      EXPECT_TRUE(is_test || std::regex_match(include.file, files))
          << include.file << ":" << include.line << " includes <" << include.header << ">: " << door.why;
    }
  }
}

TEST(Layout, AutogradNeverHearsOfQuantizers) {
  const std::regex word("[Qq]uantizer|[Qq]uantize\\b|NVFP4|nvfp4");
  for (const std::string& file : sources()) {
    if (!file.starts_with("autograd/")) continue;
    const std::string text = read_file(testing::source_dir() / file, "a source");
    std::smatch match;
    EXPECT_FALSE(std::regex_search(text, match, word)) << file << " says " << match.str();
  }
}

TEST(Layout, FilesCanBeTakenInAtASitting) {
  for (const std::string& file : sources()) {
    const std::string text = read_file(testing::source_dir() / file, "a source");
    const auto lines = std::count(text.begin(), text.end(), '\n');
    EXPECT_LE(lines, kMostLines) << file;
    if (lines > kBudgetLines)
      std::printf("note: %s has %td lines, %d are the budget\n", file.c_str(), lines, kBudgetLines);
  }
}

TEST(Layout, HeadersSayWhatTheyAre) {
  for (const std::string& file : sources()) {
    if (!file.ends_with(".h")) continue;
    const std::string text = read_file(testing::source_dir() / file, "a source");
    EXPECT_TRUE(text.starts_with("//")) << file << " does not begin with what it is";
    // A `-inl.h` is read once for each SIMD target (Highway's convention).
    if (!file.ends_with("-inl.h")) {
      EXPECT_NE(text.find("#pragma once"), std::string::npos) << file;
    }
  }
}

TEST(Layout, TheBuildAndTheProgramAgreeOnTheVersion) {
  const std::string cmake = read_file(testing::source_dir() / "CMakeLists.txt", "the build");
  EXPECT_NE(cmake.find("project(qad VERSION " + std::string(kVersion)), std::string::npos);
}

}  // namespace
}  // namespace qad
