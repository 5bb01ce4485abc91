// `qad resume DIR key=value`: a run, or all arms of a comparison, go on with other values of the keys that may change
// (Field::changeable). What they had come to by then stays beside what they come to now.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "qad/checkpoint/checkpoint.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/recipe/recipe.h"
#include "qad/run/run_folder.h"

namespace qad {

/// What is to change; nothing has yet.
class RunChange {
 public:
  /// Throws Error (usage) as changed_recipe does, for fewer train.steps than are done, for a run that has diverged, for
  /// one arm of a comparison alone, and for keys that act on steps where none is to come. Arms of a comparison that
  /// have diverged, or whose steps are done, keep what they were trained with.
  RunChange(const RunFolder& folder, const std::vector<std::string>& changes);

  /// The folder's recipe as it will be.
  [[nodiscard]] const Recipe& recipe() const { return recipe_; }
  /// Throws Error as check_inputs does; then writes the new recipes, the arms' before the comparison's. The files
  /// summary.json and answers.jsonl of what was complete become summary.step-N.json and answers.step-N.jsonl.
  void make(const RunInputs& inputs) const;

 private:
  struct One {
    RunFolder folder;
    Recipe before, after;
    std::int64_t step = 0;         ///< how far it has come
    CheckpointContent known = {};  ///< without its tensors
    std::filesystem::path checkpoint = {};
  };
  [[nodiscard]] One one_of(const RunFolder& folder, const Recipe& after);
  void look_at_arms();
  void refuse_keys_of_steps() const;
  static void tell(const One& run);

  RunFolder folder_;
  Recipe before_, recipe_;
  std::vector<One> runs_;
  bool trains_ = false;  ///< whether a step is to come in any of them, or in an arm that has not begun
};

}  // namespace qad
