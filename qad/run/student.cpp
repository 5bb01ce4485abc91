#include "qad/run/student.h"

#include <fmt/format.h>

#include "autograd/base/error.h"
#include "models/import/model_folder.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/layouts/export_marker.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/run/named_model.h"

namespace qad {

Student make_student(const Recipe& recipe, LanguageModel* teacher) {
  Student student;
  QAD_ASSERT((teacher != nullptr) == recipe.row().has_teacher);
  if (recipe.row().start == Start::fresh) {
    student.model = initialize_model(*recipe.model, static_cast<std::uint64_t>(recipe.seed));
  } else if (recipe.row().start == Start::merged) {
    for (const MergedModelConfig& one : recipe.merge->models) check_export(one.model);
    student.model = merge_models(*recipe.merge);
  } else if (recipe.student.model == "teacher") {
    student.model = trainable_copy(*teacher);
  } else {
    const auto start = load_start(recipe.student, WeightType::file);
    if (teacher != nullptr && start->config().vocab_size != teacher->config().vocab_size)
      throw Error({.who = recipe.student.model,
                   .expected = "the teacher's vocabulary of " + std::to_string(teacher->config().vocab_size),
                   .got = std::to_string(start->config().vocab_size),
                   .hint = "a student is distilled from a teacher of its own family"});
    if (recipe.loss.hidden_weight > 0 && start->config().hidden_size != teacher->config().hidden_size)
      throw Error({.who = "loss.hidden_weight",
                   .expected = fmt::format("hidden states of the teacher's size {}", teacher->config().hidden_size),
                   .got = std::to_string(start->config().hidden_size),
                   .hint = "0 compares none"},
                  ExitCode::usage);
    student.model = trainable_copy(*start);
  }
  warn_of_idle_rules(*student.model, recipe.quantize.rules);
  student.quantizers = attach_quantizers(*student.model, recipe.quantize, recipe.calibrate.algorithm);
  set_input_precision(*student.model, recipe.train.forward);
  if (recipe.row().quantizes) check_unquantized(*student.model, recipe.quantize);
  return student;
}

SavedStudent load_student(const RunFolder& folder, const Recipe& recipe, LanguageModel* teacher,
                          CheckpointChoice choice, const RunInputs& inputs) {
  const CheckpointFolder checkpoints(folder.checkpoints(), recipe.checkpoint.keep);
  const auto found = choice == CheckpointChoice::best ? checkpoints.best() : checkpoints.newest_whole();
  if (!found)
    throw Error(
        {folder.path.string(), "a whole checkpoint", "none", "qad resume finishes a run that was stopped early"});
  SavedStudent saved{make_student(recipe, teacher), {}, found->file};
  saved.state = unpack(found->content, {*saved.student.model, saved.student.quantizers, nullptr}, found->file.string());
  check_inputs(inputs, found->content, found->file.string());
  return saved;
}

}  // namespace qad
