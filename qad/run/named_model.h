// The models that a recipe names, from their folders or from those of runs.
#pragma once

#include <filesystem>
#include <memory>

#include "models/import/stored_weights.h"
#include "models/language_model.h"
#include "qad/recipe/recipe.h"

namespace qad {

/// A frozen model from a model's folder, or of a run's from its best checkpoint: its FP32 masters, or what its
/// student's forward makes of them, as its dense export holds it (inputs are not quantized). Its values are rounded to
/// BF16 if `type` says so. Throws Error where the run has no whole checkpoint.
[[nodiscard]] std::unique_ptr<LanguageModel> load_named_model(const std::filesystem::path& model, RunModel of_run,
                                                              WeightType type);

/// The recipe's teacher, its weights as the recipe wants them.
[[nodiscard]] std::unique_ptr<LanguageModel> load_teacher(const TeacherConfig& teacher);

/// What student.model names, its weights as they are stored; not for the word teacher.
[[nodiscard]] std::unique_ptr<LanguageModel> load_start(const StudentConfig& student, WeightType type);

}  // namespace qad
