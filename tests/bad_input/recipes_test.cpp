// Mistakes in recipes and on the command line: exit code 2, at file:line:column, with the nearest name that exists.
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

using testing::kUsage;
using testing::Workplace;
TEST(BadRecipe, KeysAndValues) {
  const Workplace work;
  const std::string file = work.at("recipe.yaml");
  const auto refused = [&](const std::string& line, const std::vector<std::string>& words) {
    const auto recipe = work.recipe(line + "\n");
    work.refused(Workplace::run_arguments(recipe, work.at("out")), kUsage, words);
  };
  // Line 8 is the first after those of the tiny recipe.
  refused("checkpoint: {evry: 2}", {file + ":8:14: checkpoint: unknown key \"evry\" (did you mean \"every\"?)"});
  refused("checkpoint: {every: often}", {file + ":8:21: checkpoint.every: expected an integer", "got \"often\""});
  refused("checkpoint: {keep: 0}", {file + ":8:20: checkpoint.keep: expected an integer at least 1, got 0"});
  refused("loss: {kind: kll}", {file + ":8:14: loss.kind", "\"kll\"", "did you mean \"kl\"?"});
  refused("seed: [1]", {file + ":8:7: seed: expected an integer"});
  refused("kind: qad", {file + ":8:1: the key \"kind\" is given twice"});
  refused("export: [gguff]", {file + ":8:10: export[0]: unknown layout \"gguff\""});
  refused("quantize+: {}", {file + ":8:"});
  refused("seed: [", {file + ":", "expected YAML"});
  refused("\tseed: 1", {file + ":", "expected YAML"});
}

TEST(BadRecipe, AllErrorsAtOnce) {
  const Workplace work;
  const auto before = testing::contents_of(work.path(""));
  const std::string recipe = work.recipe("sed: 1\ncheckpoint: {every: -1}\n").string();
  const testing::Outcome outcome = Workplace::start(Workplace::run_arguments(recipe, work.at("out")));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "qad: " + recipe + ": 2 errors\n  " + recipe +
                             ":8:1: unknown key \"sed\" (did you mean \"seed\"?)\n  " + recipe +
                             ":9:21: checkpoint.every: expected an integer at least 0, got -1\n");
  EXPECT_EQ(testing::contents_of(work.path("")).size(), before.size() + 1);  // the recipe
}

TEST(BadRecipe, Imports) {
  const Workplace work;
  work.write("a.yaml", "imports: [b]\n");
  work.write("b.yaml", "imports: [a]\n");
  const auto refused = [&](const std::string& name, const std::vector<std::string>& words) {
    const std::string recipe = work.write("run.yaml", "imports: [" + name + "]\nkind: qad\n");
    work.refused(Workplace::run_arguments(recipe, work.at("out")), kUsage, words);
  };
  refused("a", {"imports: a cycle: ", "a.yaml -> ", "b.yaml -> "});
  work.write("list.yaml", "- kind: qad\n");
  refused("list", {"list.yaml:1:1: expected a map of keys, got a list"});
  refused("presets/nvfp5", {"run.yaml:1:11: imports: there is no recipe \"presets/nvfp5\" (looked in "});
}

TEST(BadRecipe, Overrides) {
  const Workplace work;
  work.run_refused({"train.stepz=3"}, kUsage, {"\"train.stepz=3\"", "unknown key \"stepz\" (did you mean \"steps\"?)"});
  work.run_refused({"train.steps=-3"}, kUsage, {"train.steps: expected an integer at least 0, got -3"});
  work.run_refused({"train.steps"}, kUsage, {"expected key.path=value, got \"train.steps\""});
  work.run_refused({"train=[3"}, kUsage, {"\"train=[3\"", "expected a YAML value"});
  work.run_refused({"kind=compare"}, kUsage, {"arms: expected at least one arm"});
  work.run_refused({"teacher=null"}, kUsage, {"teacher: expected a teacher, got none"});
  work.run_refused({"data.train.jsonl=" + work.at("text.txt")}, kUsage,
                   {"data.train: expected one of text, jsonl,", "got 2"});
  work.run_refused({"quantize.share_groups=false", "export=[dense]"}, kUsage, {"export: ", "share_groups: false"});
}

TEST(BadRecipe, NoRecipeAtAll) {
  const Workplace work;
  const auto refused = [&](const std::string& recipe, const std::vector<std::string>& words) {
    work.refused(Workplace::run_arguments(recipe, work.at("out")), kUsage, words);
  };
  refused(work.at("none.yaml"), {"none.yaml: expected a recipe, got nothing there"});
  refused(work.at("teacher"), {"teacher: expected a recipe"});
  refused(work.write("empty.yaml", ""), {"empty.yaml:1:1: expected a map of keys, got nothing"});
  refused(work.write("list.yaml", "- kind: qad\n"), {"list.yaml:1:1: expected a map of keys, got a list"});
}

TEST(BadCommandLine, IsAnsweredWithWhatIsThere) {
  const Workplace work;
  const std::string recipe = work.recipe().string();
  work.refused({"rum"}, kUsage, {"unknown verb \"rum\" (did you mean \"run\"?)"});
  work.refused({"run", recipe}, kUsage, {"run: expected an option --out, got none (usage: qad run RECIPE"});
  work.refused({"run", "--out", work.at("out")}, kUsage, {"run: expected an argument RECIPE, got none"});
  work.refused({"run", recipe, "--out"}, kUsage, {"'--out' is missing"});
  work.refused({"run", recipe, "--ot", "x"}, kUsage, {"unknown option --ot (did you mean --out?)"});
  work.refused({"resume", work.at("a"), work.at("b")}, kUsage,
               {"resume: expected key.path=value, got \"" + work.at("b")});
  work.refused({"eval", work.at("teacher"), "--tokens", "-1"}, kUsage,
               {"--tokens: expected an integer that is not neg"});
  work.refused({"recipes", "explain", "train.stepz"}, kUsage,
               {"unknown key \"train.stepz\" (did you mean \"train.steps\""});
  work.refused({"recipes", "shw"}, kUsage, {"unknown action \"shw\" (did you mean \"show\"?)"});
  work.refused({"compare", recipe, "--out", work.at("out")}, kUsage,
               {"expected kind: compare, got kind: qad (use qad run)"});
}

}  // namespace
}  // namespace qad
