// Held-out figures of a student against its teacher (or of a model alone), with standard errors over documents.
#pragma once

#include <functional>
#include <vector>

#include "models/language_model.h"
#include "qad/loss/loss_config.h"
#include "qad/train/events.h"

namespace qad {

/// Evaluates over all batches. `teacher` may be null: then only cross-entropy and perplexity are there.
/// `stop` is asked between batches; when it says yes the result is incomplete and must not be used.
[[nodiscard]] EvalFigures evaluate(LanguageModel& student, LanguageModel* teacher,
                                   const std::vector<TokenBatch>& batches, const std::function<bool()>& stop = {});

/// What is to be small in the best checkpoint of a run, or the best of several: held-out, what training makes small. So
/// a student that is distilled is chosen by its KL to the teacher, one that learns the next token by its cross-entropy.
[[nodiscard]] double selection_score(const LossConfig& loss, const EvalFigures& figures);

}  // namespace qad
