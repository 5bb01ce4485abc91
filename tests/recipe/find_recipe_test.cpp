// From the name of a recipe to its file, and where the catalogue is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "autograd/base/atomic_file.h"
#include "qad/recipe/catalogue.h"
#include "qad/recipe/recipe.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// QAD_RECIPES for as long as this lives.
struct RecipesIn {
  explicit RecipesIn(const fs::path& folder) { ::setenv("QAD_RECIPES", folder.c_str(), 1); }
  ~RecipesIn() { ::unsetenv("QAD_RECIPES"); }
};

TEST(RecipesFolder, IsFoundAboveTheProgramAndCanBeSet) {
  EXPECT_TRUE(fs::equivalent(recipes_folder(), testing::source_dir() / "recipes"));
  const RecipesIn set("/somewhere");
  EXPECT_EQ(recipes_folder(), "/somewhere");
  EXPECT_EQ(recipes_places(), std::vector<fs::path>{"/somewhere"});
}

TEST(RecipesFolder, PlacesGoUpFromTheProgramToTheInstallation) {
  const std::vector<fs::path> places = recipes_places();
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  ASSERT_GE(places.size(), 5u);
  EXPECT_EQ(places[0], here / "recipes");
  EXPECT_EQ(places[1], here / "share/qad/recipes");
  EXPECT_EQ(places[2], here.parent_path() / "recipes");
  EXPECT_EQ(places[3], here.parent_path() / "share/qad/recipes");
  EXPECT_TRUE(places.back().string().ends_with("/share/qad/recipes")) << places.back();
}

TEST(RecipesFolder, ThatIsNotThereSaysWhereItLooked) {
  const RecipesIn set("/somewhere");
  EXPECT_EQ(testing::error_of([] { static_cast<void>(require_recipes_folder()); }),
            "recipes: expected a folder of recipes, got none (looked in /somewhere, which QAD_RECIPES names)");
  EXPECT_EQ(testing::error_of([] { static_cast<void>(find_recipe("stories/qad")); }),
            "stories/qad: expected a recipe, got nothing there (no folder of recipes: looked in /somewhere, which "
            "QAD_RECIPES names)");
}

class FindRecipe : public ::testing::Test {
 protected:
  FindRecipe() {
    for (const char* name : {"recipes/stories/qad.yaml", "recipes/w4.5.yaml", "recipes/notes.txt", "own.yaml"}) {
      fs::create_directories((folder_ / name).parent_path());
      write_file_atomically(folder_ / name, "kind: qad\n");
    }
    set_.emplace(folder_ / "recipes");
  }

  testing::TemporaryFolder folder_;
  std::optional<RecipesIn> set_;
};

TEST_F(FindRecipe, ByNameWithAndWithoutItsEnding) {
  EXPECT_EQ(recipe_names(folder_ / "recipes"), (std::vector<std::string>{"stories/qad", "w4.5"}));
  EXPECT_EQ(find_recipe("stories/qad"), folder_ / "recipes/stories/qad.yaml");
  EXPECT_EQ(find_recipe("stories/qad.yaml"), folder_ / "recipes/stories/qad.yaml");
  EXPECT_EQ(find_recipe("w4.5"), folder_ / "recipes/w4.5.yaml");
  EXPECT_EQ(find_recipe(folder_ / "own.yaml"), folder_ / "own.yaml");
}

TEST_F(FindRecipe, AFileWinsAndAFolderDoesNot) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  fs::create_directories("stories/qad");
  EXPECT_EQ(find_recipe("stories/qad"), folder_ / "recipes/stories/qad.yaml");
  write_file_atomically("w4.5", "kind: qad\n");
  EXPECT_EQ(find_recipe("w4.5"), "w4.5");
  EXPECT_EQ(testing::error_of([] { static_cast<void>(find_recipe("stories")); }),
            "stories: expected a recipe, got no file");
  fs::current_path(before);
}

TEST_F(FindRecipe, OnlyNamesOfTheCatalogueAreTaken) {
  for (const std::string& given :
       {std::string("../own"), (folder_ / "own").string(), std::string("notes.txt"), std::string("")})
    EXPECT_NE(testing::error_of([&] { static_cast<void>(find_recipe(given)); }), "no error") << given;
  EXPECT_EQ(testing::error_of([] { static_cast<void>(find_recipe("stories/qda")); }),
            "stories/qda: expected a recipe, got nothing there (did you mean \"stories/qad\"?)");
  EXPECT_EQ(testing::error_of([] { static_cast<void>(find_recipe("zzzzzzzz")); }),
            "zzzzzzzz: expected a recipe, got nothing there (see qad recipes list)");
}

TEST(PathsOfRecipes, MayStandInTheFolderOfRecipes) {
  const Recipe recipe = load_recipe("paper/quick");
  EXPECT_TRUE(fs::equivalent(recipe.teacher->model, testing::source_dir() / "recipes/paper/model"));
}

}  // namespace
}  // namespace qad
