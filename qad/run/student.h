// The model of a run: made from its recipe, or brought back from one of its checkpoints.
#pragma once

#include <filesystem>
#include <memory>

#include "models/language_model.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/checkpoint/run_state.h"
#include "qad/quant/attach.h"
#include "qad/recipe/recipe.h"
#include "qad/run/checkpoint_choice.h"
#include "qad/run/run_folder.h"

namespace qad {

struct Student {
  std::unique_ptr<LanguageModel> model;
  QuantizerSet quantizers;  ///< quantizes nothing in stages that make a teacher
};

/// Text that tells what of a model is pruned.
using PruneOn = std::vector<TokenBatch>;

/// FP32 masters from the teacher (or from student.model, fresh for pretrain, the average for merge), quantizers
/// attached, not calibrated. What the recipe prunes is chosen on `text`; null: its values are zeros, for who has them
/// in a checkpoint.
[[nodiscard]] Student make_student(const Recipe& recipe, LanguageModel* teacher, const PruneOn* text);

/// A run's student as a checkpoint holds it, and what the run knew then.
struct SavedStudent {
  Student student;
  RunState state;
  std::filesystem::path file;
  RunInputs inputs;
};
/// Throws Error for a checkpoint of other `inputs`, of those that are given, and of another recipe than the folder's.
[[nodiscard]] SavedStudent load_student(const RunFolder& folder, const Recipe& recipe, LanguageModel* teacher,
                                        CheckpointChoice choice, const RunInputs& inputs = {});

/// Throws Error unless a run's recipe is what the checkpoint says it was, but for keys that may change and paths: an
/// edited recipe.yaml would make two runs of one.
void check_recipe_of(const CheckpointContent& content, const Recipe& recipe, const std::string& file);

}  // namespace qad
