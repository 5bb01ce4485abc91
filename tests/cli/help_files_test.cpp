// What is made of the verb table: man pages, and completions as the shells themselves understand them.
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "autograd/base/atomic_file.h"
#include "qad/recipe/kinds.h"
#include "tests/support/process.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;

Outcome outcome_of(const testing::Arguments& arguments, const std::string& program = QAD_PROGRAM) {
  return testing::Process(arguments, {}, program).wait();
}

bool has_program(const std::string& name) { return outcome_of({"-c", "command -v " + name}, "/bin/sh").exit_code == 0; }

std::vector<std::string> verbs() {
  std::istringstream text(outcome_of({"help"}).out);
  std::vector<std::string> names;
  const std::regex row("  ([a-z]+) +[A-Z].*");
  std::smatch match;
  for (std::string line; std::getline(text, line);)
    if (std::regex_match(line, match, row)) names.push_back(match[1]);
  return names;
}

// `--out` and its like, of `qad help VERB`.
std::set<std::string> options_of(const std::string& verb) {
  const std::string text = outcome_of({"help", verb}).out;
  const std::string options = text.substr(text.find("\noptions:"));
  const std::regex option("--[a-z][a-z-]*");
  return {std::sregex_token_iterator(options.begin(), options.end(), option), std::sregex_token_iterator()};
}

void expect_good_page(const fs::path& page) {
  if (has_program("groff")) {
    const Outcome groff = outcome_of({"-man", "-ww", "-Tascii", "-k", page.string()}, "/usr/bin/groff");
    EXPECT_EQ(groff.err, "") << page;
    EXPECT_NE(groff.out.find("qad"), std::string::npos);
  }
  if (has_program("lexgrog")) {
    EXPECT_EQ(outcome_of({page.string()}, "/usr/bin/lexgrog").exit_code, 0) << page;
  }
}

TEST(ManPages, TellOfEveryVerbAndEveryOption) {
  const testing::TemporaryFolder folder;
  ASSERT_EQ(outcome_of({"help", "--man", (folder / "man").string()}).exit_code, 0);
  const std::string main_page = read_file(folder / "man/qad.1", "a man page");
  expect_good_page(folder / "man/qad.1");
  for (const char* word : {"QAD_RECIPES", "NO_COLOR", "CLICOLOR", ".SH EXIT STATUS"})
    EXPECT_NE(main_page.find(word), std::string::npos) << word;
  ASSERT_EQ(verbs().size(), 13u);
  for (const std::string& verb : verbs()) {
    EXPECT_NE(main_page.find(".BR qad\\-" + verb + " (1)"), std::string::npos) << verb;
    const fs::path file = folder / "man" / ("qad-" + verb + ".1");
    const std::string page = read_file(file, "a man page");
    EXPECT_EQ(page.rfind(".TH ", 0), 0u);
    for (const std::string& option : options_of(verb))
      EXPECT_NE(page.find("\\fB" + std::regex_replace(option, std::regex("-"), "\\-") + "\\fR"), std::string::npos)
          << verb << " " << option;
    expect_good_page(file);
  }
}

// What bash offers for the last word, sorted by bash's own order, in one line.
std::string offered_by_bash(const std::string& words) {
  const std::string program = QAD_PROGRAM;
  const Outcome outcome =
      outcome_of({"-c", "source <(" + program + " help --completions bash); COMP_WORDS=(" + program + " " + words +
                            "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qad; echo \"${COMPREPLY[*]}\""},
                 "/bin/bash");
  EXPECT_EQ(outcome.err, "") << words;
  return outcome.out;
}

TEST(Completions, OfBash) {
  EXPECT_EQ(offered_by_bash("re"), "resume recipes\n");
  EXPECT_EQ(offered_by_bash("run --o"), "--out\n");
  EXPECT_EQ(offered_by_bash("run stories/"),
            "stories/autoquantize stories/base stories/compare stories/ptq stories/qad stories/qat\n");
  EXPECT_EQ(offered_by_bash("run scripts/qui"), "scripts/quickstart\n");
  EXPECT_EQ(offered_by_bash("run stories/qad --out scripts/qui"), "scripts/quickstart\n");
  EXPECT_EQ(offered_by_bash("eval x --checkpoint ''"), "best last\n");
  EXPECT_EQ(offered_by_bash("eval x --checkpoint = l"), "last\n");
  EXPECT_EQ(offered_by_bash("eval x --tokens ''"), "\n");
  EXPECT_EQ(offered_by_bash("recipes ''"), "list show explain check\n");
  EXPECT_EQ(offered_by_bash("recipes --json show stories/q"), "stories/qad stories/qat\n");
  EXPECT_EQ(offered_by_bash("quantize x --preset nvfp4_w4a4_"), "nvfp4_w4a4_best nvfp4_w4a4_kv_fp8 nvfp4_w4a4_mlp\n");
  EXPECT_EQ(offered_by_bash("quantize x --preset scripts/qui"), "scripts/quickstart\n");
  EXPECT_EQ(offered_by_bash("help ex"), "export\n");
  EXPECT_EQ(offered_by_bash("help --completions ''"), "bash zsh fish\n");
  EXPECT_EQ(offered_by_bash("import ''"), "llama2c\n");
  for (const std::string& verb : verbs()) {
    const std::string offered = " " + offered_by_bash(verb + " --");
    for (const std::string& option : options_of(verb))
      EXPECT_TRUE(std::regex_search(offered, std::regex("\\s" + option + "\\s"))) << verb << " " << option;
  }
}

// What a recipe may be of, in the words that the program gives everywhere.
TEST(Help, RunNamesEveryKindOfRecipe) {
  const std::string run = outcome_of({"help", "run"}).out;
  for (const RecipeKind kind :
       {RecipeKind::pretrain, RecipeKind::sft, RecipeKind::grpo, RecipeKind::merge, RecipeKind::prune, RecipeKind::ptq,
        RecipeKind::qat, RecipeKind::qad, RecipeKind::autoquantize})
    EXPECT_NE(run.find(enum_name(kind)), std::string::npos) << enum_name(kind);
}

TEST(Completions, OfZshAndFishAreRead) {
  for (const std::string shell : {"zsh", "fish"}) {
    const testing::TemporaryFolder folder;
    const Outcome script = outcome_of({"help", "--completions", shell});
    ASSERT_EQ(script.exit_code, 0);
    for (const std::string& verb : verbs())
      for (const std::string& option : options_of(verb))
        EXPECT_NE(script.out.find(shell == "fish" ? "-l " + option.substr(2) : option), std::string::npos) << option;
    write_file_atomically(folder / "script", script.out);
    if (!has_program(shell)) continue;
    const Outcome read = outcome_of({"-c", shell + " -n " + (folder / "script").string()}, "/bin/sh");
    EXPECT_EQ(read.exit_code, 0) << read.err;
    if (shell == "fish") {
      const Outcome offered = outcome_of(
          {"-c", "fish -c 'source " + (folder / "script").string() + "; complete -C \"qad eval x --checkpoint \"'"},
          "/bin/sh");
      EXPECT_EQ(offered.out, "best\twhich checkpoint of a run\nlast\twhich checkpoint of a run\n") << offered.err;
    }
  }
}

TEST(Completions, OfAnUnknownShellAreRefused) {
  const Outcome outcome = outcome_of({"help", "--completions", "fsh"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "qad: --completions: expected bash | zsh | fish, got \"fsh\" (did you mean \"zsh\"?)\n");
}

}  // namespace
}  // namespace qad
