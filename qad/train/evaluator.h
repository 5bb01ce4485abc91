// Held-out figures of a student against its teacher (or of a model alone), with standard errors over documents.
#pragma once

#include <vector>

#include "models/language_model.h"
#include "qad/loss/loss_config.h"
#include "qad/train/events.h"

namespace qad {

/// Evaluates over all batches. `teacher` may be null: then only cross-entropy and perplexity are there.
/// `routing`, if it is not null, becomes what each of the student's layers of experts did.
/// Throws NotFinite, naming the model and the first layer, where an infinity or NaN comes up.
[[nodiscard]] EvalFigures evaluate(LanguageModel& student, LanguageModel* teacher,
                                   const std::vector<TokenBatch>& batches,
                                   std::vector<LayerRouting>* routing = nullptr);

/// What is to be small in the best checkpoint of a run, or the best of several: held-out, what training makes small. So
/// a student that is distilled is chosen by its KL to the teacher, one that learns the next token by its cross-entropy.
[[nodiscard]] double selection_score(const LossConfig& loss, const EvalFigures& figures);

}  // namespace qad
