// What a plan is made of: a recipe, the shapes of its models, and its text cut into the batches that a run would see.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/text/packing.h"
#include "models/language_model.h"
#include "qad/quant/attach.h"
#include "qad/recipe/recipe.h"

namespace qad {

/// A plan looks at so much of a text; what comes after it is taken to be alike.
inline constexpr std::int64_t kPlannedTokens = std::int64_t{1} << 22;

struct PlannedText {
  bool estimated = false;     ///< some of it the teacher has yet to write: taken at its full length
  bool is_beginning = false;  ///< of a text that is longer than kPlannedTokens
  std::int64_t train_documents = 0, train_sequences = 0, train_tokens = 0;
  std::int64_t eval_documents = 0, eval_tokens = 0;
  /// Of how many steps the numbers above are, where a step answers problems, and tokens of the prompts in them, of the
  /// first where they are very many; answers are taken at their full length.
  std::int64_t answered_steps = 0;
  std::vector<std::int64_t> prompts;
  /// Tokens of each forward: of training for the first steps of the run, of all of evaluation and of calibration.
  std::vector<std::int64_t> micro_batches, evaluation_batches, calibration_batches;
  TokenBatch sample;  ///< the beginning of a micro-batch, or of one of evaluation where nothing trains
};

struct PlanSubject {
  Recipe recipe;  ///< of one run, not of a comparison
  std::optional<ModelConfig> teacher;
  std::int64_t teacher_value_bytes = 0;    ///< of one of its weights in memory
  std::int64_t start_value_bytes = 0;      ///< the same of what the student starts from, if not the teacher
  std::unique_ptr<LanguageModel> student;  ///< shapes only: its values are memory that nobody touches
  QuantizerSet quantizers;                 ///< attached to `student`
  PlannedText text;
  /// Of a search for formats: groups, scores to find, students to calibrate for them and budgets to measure.
  struct Search {
    std::int64_t groups = 0, scores = 0, candidates = 0, budgets = 0;
  } search{};

  [[nodiscard]] bool trains() const { return recipe.row().steps != Steps::none && recipe.train.steps > 0; }
  [[nodiscard]] bool learns_from_teacher() const;
  [[nodiscard]] bool answers_problems() const { return recipe.row().steps == Steps::answers; }
};

/// Reads the text of `recipe` as a run would, without a file written.
[[nodiscard]] PlannedText plan_text(const Recipe& recipe);
/// `text` of the comparison that the recipe is an arm of, or its own.
[[nodiscard]] PlanSubject plan_subject(const Recipe& recipe, const PlannedText& text);

/// A model of this config without values.
[[nodiscard]] std::unique_ptr<LanguageModel> shapes_of(const ModelConfig& config);

}  // namespace qad
