// Config structs from nodes and back: strict types, ranges, names, all errors at once, and nothing lost on the way.
#include "qad/recipe/yaml_fields.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "autograd/base/error.h"
#include "qad/recipe/describe.h"
#include "qad/recipe/nearest_name.h"
#include "qad/recipe/yaml_text.h"
#include "qad/recipe/yaml_tree.h"

namespace qad {
namespace {

enum class Color { red, green };
constexpr auto enum_names(Color) {
  return std::to_array<EnumName<Color>>({{Color::red, "red"}, {Color::green, "green"}});
}

struct Inner {
  std::string text = "a";
  std::optional<double> rate;
  friend bool operator==(const Inner&, const Inner&) = default;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"text", "some text"}.required(), text);
    visit(Field{"rate", "a rate"}.above(0).at_most(1), rate);
  }
};

struct Outer {
  bool flag = false;
  std::int64_t warmup_steps = 20;
  double lr = 1e-4;
  double decay = 0.9;
  Color color = Color::red;
  std::string file = "x";
  std::vector<double> rates;
  std::vector<Color> colors = {Color::green};
  std::vector<Inner> inners;
  Inner inner;
  std::optional<Inner> maybe;
  std::optional<std::int64_t> limit;
  std::optional<std::vector<std::string>> files;
  std::vector<std::string> words;
  friend bool operator==(const Outer&, const Outer&) = default;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"flag", "a switch"}, flag);
    visit(Field{"warmup_steps", "steps of warm-up"}.at_least(0), warmup_steps);
    visit(Field{"lr", "learning rate"}.above(0), lr);
    visit(Field{"decay", "a decay"}.at_least(0).below(1), decay);
    visit(Field{"color", "a color"}, color);
    visit(Field{"file", "a file"}.path(), file);
    visit(Field{"rates", "several rates"}.above(0), rates);
    visit(Field{"colors", "several colors"}, colors);
    visit(Field{"inners", "several parts"}, inners);
    visit(Field{"inner", "one part"}, inner);
    visit(Field{"maybe", "a part or none"}, maybe);
    visit(Field{"limit", "a limit"}.between(1, 10), limit);
    visit(Field{"files", "some files"}.path(), files);
    visit(Field{"words", "some words"}, words);
  }
};

Outer read(const std::string& text, std::vector<std::string>* errors = nullptr) {
  YamlProblems problems;
  Outer outer;
  read_fields(parse_yaml(text, "r.yaml", problems), outer, problems);
  if (errors != nullptr) *errors = problems.lines();
  else EXPECT_TRUE(problems.empty()) << problems.lines().at(0);
  return outer;
}

std::string error_of(const std::string& text) {
  std::vector<std::string> errors;
  read(text, &errors);
  EXPECT_EQ(errors.size(), 1u) << text;
  return errors.empty() ? "" : errors[0];
}

TEST(ReadFields, ReadsEveryType) {
  const Outer outer = read(
      "{flag: true, warmup_steps: 7, lr: 1.0e-3, color: green, rates: [1, .5, 2e3], colors: [], "
      "inners: [{text: b}, {text: c, rate: 1}], maybe: {text: d}, limit: +3}");
  EXPECT_TRUE(outer.flag);
  EXPECT_EQ(outer.warmup_steps, 7);
  EXPECT_EQ(outer.lr, 1e-3);
  EXPECT_EQ(outer.color, Color::green);
  EXPECT_EQ(outer.rates, (std::vector<double>{1, .5, 2000}));
  EXPECT_TRUE(outer.colors.empty());
  EXPECT_EQ(outer.inners, (std::vector<Inner>{{"b", {}}, {"c", 1.0}}));
  EXPECT_EQ(outer.maybe, (Inner{"d", {}}));
  EXPECT_EQ(outer.limit, 3);
  EXPECT_FALSE(read("{maybe: null, limit: ~}").maybe.has_value());
}

TEST(ReadFields, IsStrictAboutTypes) {
  EXPECT_EQ(error_of("flag: yes"), "r.yaml:1:7: flag: expected true or false, got \"yes\"");
  EXPECT_EQ(error_of("flag: \"true\""), "r.yaml:1:7: flag: expected true or false, got the text \"true\"");
  EXPECT_EQ(error_of("warmup_steps: 010"),
            "r.yaml:1:15: warmup_steps: expected an integer at least 0, got \"010\" (a leading zero means octal to "
            "some readers)");
  EXPECT_EQ(
      error_of("warmup_steps: 1_000"),
      "r.yaml:1:15: warmup_steps: expected an integer at least 0, got \"1_000\" (without separators between digits)");
  EXPECT_EQ(error_of("warmup_steps: \"3\""),
            "r.yaml:1:15: warmup_steps: expected an integer at least 0, got the text \"3\" (without quotes?)");
  for (const char* wrong : {"1.5", "1e3", "0x10", "[1]", "{a: 1}", "null", "99999999999999999999", "abc", "3 4"})
    EXPECT_NE(error_of(std::string("warmup_steps: ") + wrong).find("expected an integer at least 0, got "),
              std::string::npos);
  for (const char* wrong : {".inf", "inf", "nan", "0x1p3", "1e400", "1e", "--1", ".", "true"})
    EXPECT_NE(error_of(std::string("lr: ") + wrong).find("expected a number above 0, got "), std::string::npos)
        << wrong;
  EXPECT_EQ(error_of("colors: red"), "r.yaml:1:9: colors: expected a list, got \"red\"");
  EXPECT_EQ(error_of("inner:\nflag: true"),
            "r.yaml:1:1: inner: expected a map of keys, got nothing (leave the key out to take its default)");
  EXPECT_EQ(error_of("file: [a]"), "r.yaml:1:7: file: expected a path, got a list");
}

TEST(ReadFields, OnePathIsAListOfOne) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(read("files: a.txt").files, Paths{"a.txt"});
  EXPECT_EQ(read("files: [a.txt, \"b*.txt\"]").files, (Paths{"a.txt", "b*.txt"}));
  EXPECT_EQ(read("files: []").files, Paths{});
  EXPECT_FALSE(read("files: null").files.has_value());
  ::setenv("QAD_TEST_PLACE", "here", 1);
  EXPECT_EQ(read("files: \"${QAD_TEST_PLACE}/a\"").files, Paths{"here/a"});
  EXPECT_EQ(read("files: [\"${QAD_TEST_PLACE}/a\", b]").files, (Paths{"here/a", "b"}));
  EXPECT_EQ(error_of("files: {a: b}"), "r.yaml:1:8: files: expected a list, got a map");
  EXPECT_EQ(error_of("files: [a, [b]]"), "r.yaml:1:12: files[1]: expected a path, got a list");
  EXPECT_EQ(error_of("words: a"), "r.yaml:1:8: words: expected a list, got \"a\"");  // paths alone
  for (const char* text : {"files: a.txt\n", "files: [a.txt, b.txt]\n", "files: []\n", "words: [a]\n"})
    EXPECT_NE(yaml_text(write_fields(read(text))).find(text), std::string::npos) << text;
}

TEST(ReadFields, HoldsRangesAndNames) {
  EXPECT_EQ(error_of("lr: 0"), "r.yaml:1:5: lr: expected a number above 0, got 0");
  EXPECT_EQ(error_of("limit: 11"), "r.yaml:1:8: limit: expected an integer at least 1, at most 10, got 11");
  EXPECT_EQ(error_of("decay: 1"), "r.yaml:1:8: decay: expected a number at least 0, below 1, got 1");
  EXPECT_EQ(read("decay: 0").decay, 0);
  EXPECT_EQ(error_of("rates: [1, -1]"), "r.yaml:1:12: rates[1]: expected a number above 0, got -1");
  EXPECT_EQ(error_of("color: gren"), "r.yaml:1:8: color: expected red | green, got \"gren\" (did you mean \"green\"?)");
  EXPECT_EQ(error_of("inners: [{rate: 1}]"), "r.yaml:1:10: inners[0]: expected a key \"text\", got none (some text)");
  EXPECT_EQ(error_of("warmup_step: 3"), "r.yaml:1:1: unknown key \"warmup_step\" (did you mean \"warmup_steps\"?)");
  EXPECT_EQ(error_of("inner: {text: a, banana: 2}"), "r.yaml:1:18: inner: unknown key \"banana\" (known: text, rate)");
}

TEST(ReadFields, TellsAllErrorsAtOnce) {
  YamlProblems problems;
  Outer outer;
  read_fields(parse_yaml("lr: -1\nflag: maybe\ninner: {text: [1]}\nbogus: 1\n", "r.yaml", problems), outer, problems);
  try {
    problems.throw_if_any("r.yaml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(std::string(error.what()),
              "r.yaml: 4 errors\n"
              "  r.yaml:1:5: lr: expected a number above 0, got -1\n"
              "  r.yaml:2:7: flag: expected true or false, got \"maybe\"\n"
              "  r.yaml:3:15: inner.text: expected text, got a list\n"
              "  r.yaml:4:1: unknown key \"bogus\" (known: flag, warmup_steps, lr, decay, color, file, rates, colors, "
              "inners, inner, maybe, limit, files, words)");
  }
}

TEST(ReadFields, TakesPathsFromTheEnvironment) {
  ::setenv("QAD_TEST_FOLDER", "/data", 1);
  ::unsetenv("QAD_TEST_NOTHING");
  EXPECT_EQ(read("file: ${QAD_TEST_FOLDER}/a").file, "/data/a");
  EXPECT_EQ(read("file: ${QAD_TEST_NOTHING:-../b}/a").file, "../b/a");
  EXPECT_EQ(read("{inner: {text: \"${QAD_TEST_FOLDER}\"}}").inner.text, "${QAD_TEST_FOLDER}");
  EXPECT_EQ(
      error_of("file: ${QAD_TEST_NOTHING}/a"),
      "r.yaml:1:7: file: the environment variable QAD_TEST_NOTHING is not set (${NAME:-default} gives a default)");
}

TEST(WriteFields, ReadsBackTheSame) {
  Outer outer;
  outer.inners = {{"<|endoftext|>", 1e-300},
                  {"line\nbreak \"quoted\" \\ \x01 ümläut", {}},
                  {"", {}},
                  {"null", {}},
                  {" x: y #", 0.1}};
  outer.rates = {1.0, 1e-5, 0.1 + 0.2, 1e22};
  outer.maybe = Inner{"- x", 1.0};
  outer.file = "../shared/data/a b.txt";
  EXPECT_EQ(read(yaml_text(write_fields(outer))), outer) << yaml_text(write_fields(outer));
  EXPECT_EQ(read(yaml_text(write_fields(Outer{}))), Outer{});
}

TEST(WriteFields, ReadsBackTheSameForAnyTextAndNumber) {
  std::mt19937 random(1);
  const std::string letters = "ab 01:#-,[]{}&*!|>'\"%@`~\\\n\t.?=+yes";
  for (int trial = 0; trial < 300; ++trial) {
    Outer outer;
    for (int i = 0; i < 5; ++i) {
      Inner inner;
      inner.text.clear();
      for (auto n = random() % 6; n > 0; --n) inner.text += letters[random() % letters.size()];
      outer.inners.push_back(inner);
      outer.rates.push_back(std::ldexp(static_cast<double>(random()) + 1.0, static_cast<int>(random() % 200) - 100));
    }
    ASSERT_EQ(read(yaml_text(write_fields(outer))), outer) << yaml_text(write_fields(outer));
  }
}

TEST(WriteFields, IsPlainToRead) {
  Outer outer;
  outer.inners = {{"b", 1.0}, {"c", {}}};
  EXPECT_EQ(yaml_text(write_fields(outer)),
            "flag: false\nwarmup_steps: 20\nlr: 0.0001\ndecay: 0.9\ncolor: red\nfile: x\nrates: []\ncolors: [green]\n"
            "inners:\n  - text: b\n    rate: 1.0\n  - text: c\ninner:\n  text: a\nwords: []\n");
}

TEST(DescribeFields, ListsEveryKey) {
  const std::vector<KeyDescription> keys = describe_fields<Outer>();
  const auto row = [&](const std::string& key) {
    for (const KeyDescription& k : keys)
      if (k.key == key) return k.type + " / " + k.default_value + " / " + k.range + " / " + k.help;
    return std::string("absent");
  };
  EXPECT_EQ(row("flag"), "true | false / false /  / a switch");
  EXPECT_EQ(row("lr"), "number / 0.0001 / above 0 / learning rate");
  EXPECT_EQ(row("color"), "red | green / red /  / a color");
  EXPECT_EQ(row("colors"), "list of red | green / [green] /  / several colors");
  EXPECT_EQ(row("file"), "path / x /  / a file");
  EXPECT_EQ(row("inners"), "list of section / [] /  / several parts");
  EXPECT_EQ(row("inners[].text"), "text / required /  / some text");
  EXPECT_EQ(row("inner"), "section /  /  / one part");
  EXPECT_EQ(row("maybe"), "section / none /  / a part or none");
  EXPECT_EQ(row("maybe.rate"), "number / none / above 0, at most 1 / a rate");
  EXPECT_NE(description_text(keys).find("learning rate (above 0)"), std::string::npos);
}

TEST(NearestName, FindsTyposAndOnlyThem) {
  const std::vector<std::string_view> known = {"steps", "lr", "warmup_steps", "batch_size"};
  EXPECT_EQ(nearest_name("setps", known), "steps");
  EXPECT_EQ(nearest_name("Steps", known), "steps");
  EXPECT_EQ(nearest_name("batch-size", known), "batch_size");
  EXPECT_EQ(nearest_name("warmup", known), "warmup_steps");
  EXPECT_EQ(nearest_name("l", known), "lr");
  EXPECT_EQ(nearest_name("temperature", known), "");
}

}  // namespace
}  // namespace qad
