// Nothing in recipes/ rots: every file reads, and the catalogue in recipes/README.md is what lies on the disk.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "models/import/model_folder.h"
#include "qad/quant/attach.h"
#include "qad/recipe/recipe.h"
#include "qad/verbs/recipes.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = testing::source_dir() / "recipes";

// Every recipe on the disk with what it says it is.
std::map<std::string, std::string> on_disk() {
  std::map<std::string, std::string> titles;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string title = verbs::recipe_title(entry.path());
    EXPECT_TRUE(title.size() > 10 && title.ends_with('.')) << entry.path() << " does not begin with what it is";
    titles[fs::relative(entry.path(), kFolder).replace_extension().string()] = title;
  }
  return titles;
}

TEST(Catalogue, IsWhatLiesOnTheDisk) {
  const std::string readme = read_file(kFolder / "README.md", "the catalogue");
  const std::string table = readme.substr(readme.find("## Catalogue"));
  const std::regex row("\\| `([^`]+)` \\| ([^\\n]*) \\|");
  std::map<std::string, std::string> listed;
  for (auto it = std::sregex_iterator(table.begin(), table.end(), row); it != std::sregex_iterator(); ++it) {
    EXPECT_TRUE(listed.emplace((*it)[1], (*it)[2]).second) << (*it)[1] << " is listed twice";
  }
  EXPECT_EQ(listed, on_disk());
}

TEST(Catalogue, EveryFileReads) {
  for (const auto& [name, title] : on_disk()) {
    try {
      (void)check_recipe_file(kFolder / (name + ".yaml"));
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Catalogue, WholeRecipesReadBackFromTheirResolvedText) {
  for (const auto& [name, title] : on_disk()) {
    const fs::path file = kFolder / (name + ".yaml");
    if (!check_recipe_file(file)) continue;
    const std::string text = recipe_text(load_recipe(file));
    EXPECT_EQ(recipe_text(parse_recipe(text, name)), text) << name;
  }
}

// The recipes that a recipe runs.
std::vector<Recipe> runs_of(const Recipe& recipe) {
  if (recipe.kind != RecipeKind::compare) return {recipe};
  std::vector<Recipe> runs;
  for (const Arm& arm : expand_arms(recipe))
    for (const ArmCandidate& candidate : arm.candidates)
      for (const auto& run : candidate) runs.push_back(run.recipe);
  return runs;
}

TEST(Catalogue, QuantizersFitThePapersTeacher) {
  int fitted = 0;
  for (const auto& [name, title] : on_disk()) {
    const fs::path file = kFolder / (name + ".yaml");
    if (!name.starts_with("paper/") || !check_recipe_file(file)) continue;
    for (const Recipe& run : runs_of(load_recipe(file))) {
      if (run.kind != RecipeKind::ptq && run.kind != RecipeKind::qat && run.kind != RecipeKind::qad) continue;
      const auto model = load_model(kFolder / "paper/model", WeightType::f32);
      EXPECT_NO_THROW(static_cast<void>(attach_quantizers(*model, run.quantize))) << name;
      ++fitted;
    }
  }
  EXPECT_GT(fitted, 40);
}

std::string printed(verbs::RecipesOptions options) {
  std::ostringstream print;
  EXPECT_EQ(verbs::recipes(options, print), ExitCode::done);
  return print.str();
}

TEST(RecipesVerb, ListsShowsExplainsAndChecks) {
  EXPECT_NE(printed({"list", {}}).find("presets/nvfp4_w4a4 "), std::string::npos);
  EXPECT_NE(printed({"explain", {}}).find("train.lr "), std::string::npos);
  const std::string lr = printed({"explain", {"train.lr"}});
  EXPECT_EQ(std::count(lr.begin(), lr.end(), '\n'), 2) << lr;
  EXPECT_NE(printed({"check", {}}).find("nvfp4_w4a4.yaml: good"), std::string::npos);
  EXPECT_NE(
      printed({"show", {"presets/nvfp4_w4a4", "kind=qad", "teacher.model=t", "data.train.text=a", "data.eval.text=b"}})
          .find("weights: nvfp4"),
      std::string::npos);
}

TEST(RecipesVerb, NamesWhatItDoesNotKnow) {
  const auto error_of = [](const verbs::RecipesOptions& options) -> std::string {
    std::ostringstream print;
    try {
      (void)verbs::recipes(options, print);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of({"lst", {}}), "recipes: unknown action \"lst\" (did you mean \"list\"?)");
  EXPECT_EQ(error_of({"explain", {"train.stepz"}}),
            "recipes explain: unknown key \"train.stepz\" (did you mean \"train.steps\"?)");
  EXPECT_EQ(error_of({"show", {}}), "recipes show: expected a recipe, got none (see qad recipes list)");
  EXPECT_EQ(error_of({"check", {"absent.yaml"}}),
            "absent.yaml: expected a recipe, got nothing there (see qad recipes list)");
}

}  // namespace
}  // namespace qad
