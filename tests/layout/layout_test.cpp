// The shape of the tree, held by a machine: who may include whom, the one door to each library, how long a file may be.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "autograd/base/version.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// Folder -> the folders whose files it may include: what its library USES in CMakeLists.txt, and what that uses. The
// program's own folder stands above all.
std::map<std::string, std::set<std::string>> allowed_arrows() {
  const std::string text = read_file(testing::source_dir() / "CMakeLists.txt", "the build");
  static const std::regex library("\\nqad_library\\((\\S+) USES ([^)]*)\\)"), word("\\S+");
  std::map<std::string, std::string> folders;  // by library
  std::map<std::string, std::set<std::string>> arrows;
  for (std::sregex_iterator match(text.begin(), text.end(), library), end; match != end; ++match) {
    const std::string folder = (*match)[1], uses = (*match)[2];
    std::set<std::string>& reached = arrows[folder] = {folder};
    for (std::sregex_iterator used(uses.begin(), uses.end(), word); used != end; ++used)
      if (const auto found = folders.find(used->str()); found != folders.end())
        reached.insert(arrows[found->second].begin(), arrows[found->second].end());
    std::string name = folder;
    std::replace(name.begin(), name.end(), '/', '_');
    folders[name] = folder;
  }
  std::set<std::string>& program = arrows["qad/cli"] = {"qad/cli"};
  for (const auto& [name, folder] : folders) program.insert(folder);
  return arrows;
}

// A header of others and the files that may include it, both as regular expressions.
struct Door {
  std::string header, files, why;
};
const std::vector<Door> kDoors = {
    {"yaml-cpp/.*", "qad/recipe/.*\\.cpp", "no component sees YAML"},
    {"boost/.*", "qad/cli/.*", "only the program has a command line"},
    {"spdlog/.*", "autograd/base/log\\.cpp", "everybody else logs by autograd/base/log.h"},
    {"(hdf5|H5).*\\.h", "data/files/hdf5_[a-z]+\\.(h|cpp)", "HDF5's traps are known in one place"},
    {"(.*/)?(dnnl.*|cblas)\\.(h|hpp)", "autograd/kernels/.*", "GEMM goes through the kernel table"},
    {"Eigen/.*", "autograd/reference/.*", "the definitions that kernels are held against"},
    {"hwy/.*", "(autograd/kernels|qad/formats)/.*", "SIMD lives in kernels and number formats"},
    {"omp\\.h", "autograd/base/parallel\\.cpp", "loops are parallel_for"},
    {"nlohmann/json\\.hpp", ".*\\.cpp", "headers stay light"},
    {"sentencepiece_.*\\.h", "data/tokenizer/sentencepiece_tokenizer\\.cpp|tests/data/.*",
     "one kind of tokenizer among others"},
    {"pcre2\\.h", "data/tokenizer/.*\\.cpp", "regular expressions of tokenizers"},
    {"(zlib|zstd.*)\\.h", "data/files/compressed_file\\.cpp", "whoever reads text reads it decompressed"},
    {"gtest/.*", "tests/.*", "tests only"},
    {"benchmark/.*", "bench/.*", "benchmarks only"},
};

constexpr int kMostLines = 500;    // fails
constexpr int kBudgetLines = 400;  // is told: such a file is usually two things

struct Include {
  std::string file;  // relative to the project
  int line;
  bool in_brackets;  // <…>
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

std::string folder_of(const std::string& file) { return fs::path(file).parent_path().string(); }

bool is_test_or_bench(const std::string& file) { return file.starts_with("tests/") || file.starts_with("bench/"); }

TEST(Layout, FoldersIncludeOnlyWhatTheBuildSaysTheyUse) {
  const auto arrows = allowed_arrows();
  EXPECT_GT(arrows.size(), 30u) << "is CMakeLists.txt written otherwise now?";
  for (const Include& include : includes()) {
    if (!include.is_ours()) continue;
    const std::string where = include.file + ":" + std::to_string(include.line) + " includes " + include.header;
    EXPECT_FALSE(include.in_brackets) << where << " in <>";
    if (is_test_or_bench(include.file)) continue;  // they may use everything
    const auto from = arrows.find(folder_of(include.file));
    ASSERT_NE(from, arrows.end()) << include.file << " stands in a folder without a library";
    EXPECT_TRUE(from->second.contains(folder_of(include.header)))
        << where << ", which " << from->first << " doesn't use";
  }
}

TEST(Layout, EveryFolderIsALibrary) {
  const auto arrows = allowed_arrows();
  for (const std::string& file : sources())
    EXPECT_TRUE(is_test_or_bench(file) || arrows.contains(folder_of(file))) << file;
}

TEST(Layout, EveryLibraryHasOneDoor) {
  for (const Door& door : kDoors) {
    const std::regex header(door.header), files(door.files);
    for (const Include& include : includes()) {
      if (include.is_ours() || !std::regex_match(include.header, header)) continue;
      EXPECT_TRUE(is_test_or_bench(include.file) || std::regex_match(include.file, files))
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

// The model_type of every row in models/families.
std::string families_as_regex() {
  static const std::regex row("\\.model_type = \"([^\"]+)\"");
  std::string any;
  for (const std::string& file : sources()) {
    if (!file.starts_with("models/families/")) continue;
    const std::string text = read_file(testing::source_dir() / file, "a source");
    for (std::sregex_iterator match(text.begin(), text.end(), row), end; match != end; ++match)
      any += (any.empty() ? "" : "|") + (*match)[1].str();
  }
  return any;
}

TEST(Layout, NoOtherRoomSpellsAFamily) {
  const std::string any = families_as_regex();
  EXPECT_TRUE(any.starts_with("deepseek_v2|deepseek_v3|kimi_linear|llama|mamba2|mistral|"))
      << any << ": are the rows written otherwise now?";
  const std::regex name("\"(" + any + ")\"");
  // These say it of something else: what a fresh model is, transformers' tokenizers, llama.cpp's tokenizers.
  const std::set<std::string> may = {"models/model_config.h", "data/tokenizer/tokenizer_class.cpp",
                                     "qad/layouts/gguf_tokenizer.cpp"};
  for (const std::string& file : sources()) {
    if (is_test_or_bench(file) || file.starts_with("models/families/") || may.contains(file)) continue;
    const std::string text = read_file(testing::source_dir() / file, "a source");
    std::smatch match;
    EXPECT_FALSE(std::regex_search(text, match, name)) << file << " says " << match.str();
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
