#include "qad/run/student.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "autograd/base/error.h"
#include "models/import/model_folder.h"
#include "models/prune/prune_model.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/layouts/export_marker.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/recipe/changeable_keys.h"
#include "qad/run/named_model.h"

namespace qad {

namespace {

std::unique_ptr<LanguageModel> pruned(const Recipe& recipe, LanguageModel* teacher, const PruneOn* text) {
  if (text == nullptr) return blank_model(student_config(recipe));
  const auto prune = [&](LanguageModel& model) {
    return prune_model(model, *recipe.prune, *text, static_cast<std::uint64_t>(recipe.seed));
  };
  return recipe.student.model == "teacher" ? prune(*teacher) : prune(*load_start(recipe.student, WeightType::file));
}

std::unique_ptr<LanguageModel> started(const Recipe& recipe, LanguageModel* teacher, const PruneOn* text) {
  switch (recipe.row().start) {
    case Start::fresh: return initialize_model(*recipe.model, static_cast<std::uint64_t>(recipe.seed));
    case Start::merged:
      for (const MergedModelConfig& one : recipe.merge->models) check_export(one.model);
      return merge_models(*recipe.merge);
    case Start::given:
    case Start::teacher: break;
  }
  if (recipe.prune) return pruned(recipe, teacher, text);
  if (recipe.student.model == "teacher") return trainable_copy(*teacher);
  return trainable_copy(*load_start(recipe.student, WeightType::file));
}

void check_beside_teacher(const Recipe& recipe, const ModelConfig& student, const ModelConfig& teacher) {
  if (student.vocab_size != teacher.vocab_size)
    throw Error({.who = recipe.student.model,
                 .expected = "the teacher's vocabulary of " + std::to_string(teacher.vocab_size),
                 .got = std::to_string(student.vocab_size),
                 .hint = "a student is distilled from a teacher of its own family"});
  if (recipe.loss.hidden_weight > 0 && student.hidden_size != teacher.hidden_size)
    throw Error({.who = "loss.hidden_weight",
                 .expected = fmt::format("hidden states of the teacher's size {}", teacher.hidden_size),
                 .got = std::to_string(student.hidden_size),
                 .hint = "0 compares none"},
                ExitCode::usage);
}

}  // namespace

Student make_student(const Recipe& recipe, LanguageModel* teacher, const PruneOn* text) {
  Student student;
  QAD_ASSERT((teacher != nullptr) == recipe.row().has_teacher);
  student.model = started(recipe, teacher, text);
  if (teacher != nullptr) check_beside_teacher(recipe, student.model->config(), teacher->config());
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
  check_recipe_of(found->content, read_recipe(folder), found->file.string());
  SavedStudent saved{make_student(recipe, teacher, nullptr), {}, found->file, {}};
  saved.state = unpack(found->content, {*saved.student.model, saved.student.quantizers, nullptr}, found->file.string());
  saved.inputs = inputs_of(found->content);
  RunInputs all = inputs;
  add_config("student", saved.student.model->config(), all);
  check_inputs(all, found->content, found->file.string());
  return saved;
}

void check_recipe_of(const CheckpointContent& content, const Recipe& recipe, const std::string& file) {
  const auto text = content.texts.find("recipe");
  if (text == content.texts.end()) return;
  const std::vector<std::string> keys = fixed_differences(parse_recipe(text->second, file + ": recipe"), recipe);
  if (keys.empty()) return;
  throw Error({.who = file,
               .expected = "the recipe that the run began with",
               .got = fmt::format("another {} in its recipe.yaml", fmt::join(keys, ", ")),
               .hint = "put it back, or begin a new run"});
}

}  // namespace qad
