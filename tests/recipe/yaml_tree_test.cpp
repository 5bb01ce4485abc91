// Reading YAML, imports, overrides: what composes, and what is refused with which words at which place.
#include "qad/recipe/yaml_tree.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/recipe/yaml_text.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using testing::TemporaryFolder;

std::vector<std::string> problems_of(const std::string& text) {
  YamlProblems problems;
  (void)parse_yaml(text, "r.yaml", problems);
  return problems.lines();
}

TEST(ParseYaml, KeepsOrderPositionsAndQuotes) {
  YamlProblems problems;
  const YamlNode root = parse_yaml("b: 1\na:\n  - x\n  - \"2\"\n", "r.yaml", problems);
  ASSERT_TRUE(problems.empty());
  ASSERT_EQ(root.entries.size(), 2u);
  EXPECT_EQ(root.entries[0].key, "b");
  const YamlNode& list = root.entries[1].value;
  EXPECT_EQ(list.items[1].at.text(), "r.yaml:4:5");
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_EQ(root.entries[1].key_at.text(), "r.yaml:2:1");
}

TEST(ParseYaml, RefusesWhatSaysOtherThanItSeems) {
  EXPECT_EQ(problems_of("a: 1\nb: 2\na: 3\n"),
            std::vector<std::string>{"r.yaml:3:1: the key \"a\" is given twice (first in line 1)"});
  EXPECT_EQ(problems_of("x: {lr: 1, lr: 2}\n"),
            std::vector<std::string>{"r.yaml:1:12: the key \"lr\" is given twice (first in line 1)"});
  EXPECT_EQ(problems_of("a: &a {x: 1}\nb:\n  <<: *a\n").at(0),
            "r.yaml:3:3: the merge key << is not part of YAML 1.2 (write the keys out, or use imports)");
  EXPECT_EQ(problems_of("a: !!int 3\n").at(0), "r.yaml:1:4: the tag tag:yaml.org,2002:int is not used here");
  EXPECT_EQ(problems_of("[a, b]: 3\n").at(0), "r.yaml:1:1: expected a name as key, got something else");
  EXPECT_EQ(problems_of("a: 1\n---\nb: 2\n").at(0), "r.yaml:2:1: expected one document, got the start of another");
}

TEST(ParseYaml, EndsOnWhatTheLibraryWouldNotEndOn) {
  EXPECT_EQ(problems_of(", a]\nb: 1\n"),
            std::vector<std::string>{"r.yaml:1:1: expected one document, got the start of another"});
  EXPECT_EQ(problems_of("").size(), 0u);
}

TEST(ParseYaml, AliasesWorkAndCannotRunAway) {
  YamlProblems problems;
  const YamlNode root = parse_yaml("a: &a [1, 2]\nb: *a\n", "r.yaml", problems);
  ASSERT_TRUE(problems.empty());
  EXPECT_EQ(root.find("b")->items.size(), 2u);
  EXPECT_EQ(problems_of("a: &a [*a]\n").size(), 1u);
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    bomb += name + ": &" + name + " [" + before + ", " + before + "]\n";
  }
  EXPECT_EQ(problems_of(bomb).size(), 1u);
}

TEST(ParseYaml, NamesThePlaceOfASyntaxError) {
  try {
    (void)problems_of("a: [1, 2\nb: 3\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(std::string(error.what()).rfind("r.yaml:2:", 0), 0u) << error.what();
  }
}

class Imports : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { write_file_atomically(folder_ / name, text); }
  std::string load(const std::string& name) {
    problems_ = {};
    return yaml_text(load_yaml(folder_ / name, folder_ / "recipes", problems_));
  }
  TemporaryFolder folder_;
  YamlProblems problems_;
};

TEST_F(Imports, LaterWinsAndTheFileItselfWinsOverAll) {
  write("recipes/units/a.yaml", "train: {lr: 1, steps: 1}\nx: [1, 2]\n");
  write("recipes/units/b.yaml", "train: {lr: 2}\nz: 1\n");
  write("run.yaml", "imports: [units/a, units/b.yaml]\ntrain: {steps: 3}\nx: [9]\nz: null\n");
  EXPECT_EQ(load("run.yaml"), "train:\n  lr: 2\n  steps: 3\nx: [9]\nz: null\n");
  EXPECT_TRUE(problems_.empty());
}

TEST_F(Imports, TheImportersFolderComesBeforeTheRecipesFolder) {
  write("recipes/unit.yaml", "from: recipes\n");
  write("mine/unit.yaml", "from: mine\n");
  write("mine/run.yaml", "imports: [unit]\n");
  EXPECT_EQ(load("mine/run.yaml"), "from: mine\n");
}

TEST_F(Imports, ListsAppendWhenAsked) {
  write("recipes/a.yaml", "quantize: {rules+: [a]}\n");
  write("recipes/b.yaml", "quantize: {rules+: [b]}\n");
  write("recipes/both.yaml", "imports: [a, b]\n");
  write("run.yaml", "imports: [both]\nquantize: {rules+: [c]}\n");
  write("fresh.yaml", "imports: [both]\nquantize: {rules: [c]}\n");
  EXPECT_EQ(load("run.yaml"), "quantize:\n  rules: [a, b, c]\n");
  EXPECT_EQ(load("fresh.yaml"), "quantize:\n  rules: [c]\n");
  write("wrong.yaml", "imports: [both]\nquantize+: [c]\nother+: 3\n");
  load("wrong.yaml");
  ASSERT_EQ(problems_.lines().size(), 2u);
  EXPECT_NE(problems_.lines()[0].find("wrong.yaml:2:1: quantize+: expected a list to append to, got a map"),
            std::string::npos);
  EXPECT_NE(problems_.lines()[1].find("wrong.yaml:3:1: other+: expected a list to append, got \"3\""),
            std::string::npos);
}

TEST_F(Imports, RefusesACycleAndShowsIt) {
  write("recipes/a.yaml", "imports: [b]\n");
  write("recipes/b.yaml", "imports: [c]\n");
  write("recipes/c.yaml", "\n\nimports: [a]\n");
  load("recipes/a.yaml");
  ASSERT_EQ(problems_.lines().size(), 1u);
  const std::string line = problems_.lines()[0];
  EXPECT_NE(line.find("c.yaml:3:11: imports: a cycle: "), std::string::npos) << line;
  EXPECT_LT(line.find("a.yaml -> "), line.find("b.yaml -> "));
  EXPECT_LT(line.find("b.yaml -> "), line.find("c.yaml -> "));
  write("recipes/self.yaml", "imports: [self]\n");
  load("recipes/self.yaml");
  EXPECT_EQ(problems_.lines().size(), 1u);
}

TEST_F(Imports, AFileReachedTwiceCountsOnce) {
  write("recipes/base.yaml", "x: [1]\nlist+: [1]\n");
  write("recipes/a.yaml", "imports: [base]\nx+: [2]\n");
  write("recipes/b.yaml", "imports: [base]\n");
  write("run.yaml", "imports: [a, b]\n");
  EXPECT_EQ(load("run.yaml"), "x: [1, 2]\nlist: [1]\n");
  EXPECT_TRUE(problems_.empty());
}

TEST_F(Imports, NamesWhatIsMissing) {
  write("run.yaml", "imports: [nothing/here, [a]]\n");
  load("run.yaml");
  ASSERT_EQ(problems_.lines().size(), 2u);
  EXPECT_NE(problems_.lines()[0].find("run.yaml:1:11: imports: there is no recipe \"nothing/here\""),
            std::string::npos);
  EXPECT_NE(problems_.lines()[1].find("run.yaml:1:25: imports: expected the name of a recipe, got a list"),
            std::string::npos);
  EXPECT_THROW(load("absent.yaml"), Error);
  EXPECT_THROW(load("recipes"), Error);
}

TEST(Overrides, AreYamlValuesAlongAPath) {
  YamlProblems problems;
  const auto tree = [&](const char* text) { return yaml_text(parse_override(text, {}, problems)); };
  EXPECT_EQ(tree("train.lr=1e-4"), "train:\n  lr: 1e-4\n");
  EXPECT_EQ(tree("export=[dense, modelopt]"), "export: [dense, modelopt]\n");
  EXPECT_EQ(tree("data.train={text: a.txt, separator: \"<|endoftext|>\"}"),
            "data:\n  train:\n    text: a.txt\n    separator: \"<|endoftext|>\"\n");
  EXPECT_EQ(tree("teacher="), "teacher: null\n");
  EXPECT_EQ(tree("a=b=c"), "a: b=c\n");
  EXPECT_TRUE(problems.empty());
}

TEST(Overrides, SayWhereTheyStand) {
  YamlProblems problems;
  for (const char* wrong : {"train.lr", "=3", "a..b=1", ".a=1", "a=[1"}) (void)parse_override(wrong, {}, problems);
  ASSERT_EQ(problems.lines().size(), 5u);
  EXPECT_EQ(problems.lines()[0], "command line: \"train.lr\": expected key.path=value, got \"train.lr\"");
  EXPECT_EQ(problems.lines()[4], "command line: \"a=[1\": a: expected a YAML value, got \"[1\" (does it need quotes?)");
}

}  // namespace
}  // namespace qad
