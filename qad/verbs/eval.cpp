#include "qad/verbs/eval.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "data/files/file_kinds.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/report/comparison_table.h"
#include "qad/report/figures_json.h"
#include "qad/report/problem_json.h"
#include "qad/report/routing_table.h"
#include "qad/report/summary.h"
#include "qad/run/any_model.h"
#include "qad/run/materials.h"
#include "qad/run/named_model.h"
#include "qad/run/one_vocabulary.h"
#include "qad/run/problem_answers.h"
#include "qad/run/run_lock.h"
#include "qad/run/student.h"
#include "qad/run/write_logits.h"
#include "qad/train/evaluator.h"

namespace qad::verbs {
namespace fs = std::filesystem;
namespace {

// A file's name tells what is in it, whether or not it is compressed; a pattern's too.
SourceConfig source_of(const fs::path& data) {
  SourceConfig source;
  const std::vector<std::string> files = {data.string()};
  const std::string extension = data.extension().string();
  if (is_named_json_lines(data) || is_named_table(data)) source.jsonl = files;
  else if (extension == ".h5" || extension == ".hdf5") source.token_file = files;
  else source.text = files;
  return source;
}

// What the command line says about the text goes over what the recipe says.
void apply(const EvalOptions& options, DataConfig& data) {
  if (options.data) data.eval = MixtureConfig{source_of(*options.data), {}};
  const auto say = [&](TextFormat& format) {
    if (options.separator) format.separator = options.separator;
    if (options.field) format.field = options.field;
  };
  say(data.eval.format);
  if (data.eval.mixture) {
    if (options.tokens)
      throw Error({.who = "--tokens",
                   .expected = "a single source",
                   .got = "the mixture of the recipe",
                   .hint = "add --data FILE"},
                  ExitCode::usage);
    for (WeightedSourceConfig& part : *data.eval.mixture) say(part.format);
  }
  if (options.tokens) data.eval.tokens = *options.tokens;
  if (options.sequence_length) data.sequence_length = *options.sequence_length;
}

// A run's recipe, with other held-out text where the command line changes it.
Recipe recipe_of(const RunFolder& folder, const std::vector<std::string>& overrides) {
  if (overrides.empty()) return read_recipe(folder);
  for (const std::string& one : overrides)
    if (!one.starts_with("data.eval."))
      throw Error({.who = one,
                   .expected = "keys of the held-out text, data.eval.…",
                   .got = "another key",
                   .hint = "what made a student stays as it was"},
                  ExitCode::usage);
  Recipe recipe = load_recipe(folder.recipe(), overrides);
  recipe.quantize = read_recipe(folder).quantize;  // what a search found stays
  return recipe;
}

struct Subject {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<LanguageModel> own_teacher;    // the recipe's: the student is made from it
  std::unique_ptr<LanguageModel> other_teacher;  // the command line's: only measured against
  std::string name;

  [[nodiscard]] LanguageModel* teacher() const { return other_teacher ? other_teacher.get() : own_teacher.get(); }
};

// The teacher answers too where the command line names one.
void show_problems(const Subject& subject, const Tokenizer* tokenizer, const ProblemEvaluationConfig& config, bool json,
                   std::ostream& print) {
  std::vector<AnsweredProblem> teacher;
  if (subject.other_teacher) teacher = problem_answers(*subject.other_teacher, tokenizer, config, "teacher");
  const auto answered = problem_answers(*subject.model, tokenizer, config, "eval");
  const ProblemResults results = figures_of({answered}, teacher);
  if (json) {
    print << json_of(results).dump() << "\n";
    return;
  }
  std::vector<ProblemRow> rows = {{subject.name, results}};
  if (!teacher.empty()) rows.insert(rows.begin(), {"teacher", figures_of({teacher})});
  print << problem_note(rows) << "\n\n" << problem_table(rows).text();
}

}  // namespace

ExitCode eval(const EvalOptions& given, std::ostream& print) {
  EvalOptions options = given;
  options.target = model_folder(given.target);
  const bool of_run = is_run_folder(options.target);
  Recipe recipe;
  if (of_run) recipe = recipe_of(open_run_folder(options.target), options.overrides);
  else if (!options.overrides.empty())
    throw Error({options.target.string(), "a run's folder, whose recipe " + options.overrides.front() + " changes",
                 "a model's", "name the text by --data FILE"},
                ExitCode::usage);
  if (recipe.row().is_comparison)
    throw Error(
        {options.target.string(), "a run's or a model's folder", "a comparison", "name one of its arms/ folders"},
        ExitCode::usage);
  if (!of_run && !options.data && !options.problems)
    throw Error({.who = options.target.string(),
                 .expected = "a text to evaluate on",
                 .got = "none",
                 .hint = "add --data FILE, or --problems N"},
                ExitCode::usage);
  if (options.problems && *options.problems < 1)
    throw Error({.who = "--problems", .expected = "at least 1", .got = std::to_string(*options.problems)},
                ExitCode::usage);
  apply(options, recipe.data);
  if (options.logits) check_logits_place(*options.logits);
  std::string trained_on;  // a hash
  const bool writes_text = of_run && lacks_teacher_text(recipe.data.eval, "eval", {options.target});
  const RunLocks locks(writes_text ? std::optional(options.target) : std::nullopt, options.logits);

  Subject subject;
  fs::path model_folder = of_run ? fs::path() : options.target;  // where the tokenizer is
  if (of_run) {
    model_folder = base_folder(recipe);
    RunInputs inputs;
    if (recipe.teacher) subject.own_teacher = load_teacher(*recipe.teacher);
    if (recipe.teacher && !options.teacher) add_model("teacher", *subject.own_teacher, inputs);
    SavedStudent saved =
        load_student(open_run_folder(options.target), recipe, subject.own_teacher.get(), options.checkpoint, inputs);
    subject.model = std::move(saved.student.model);
    subject.name = saved.file.string();
    trained_on = saved.inputs["data.train"];
  } else {
    subject.model = load_any_model(options.target);
    set_input_precision(*subject.model, options.compute);
    subject.name = options.target.string();
  }
  if (options.teacher) {
    subject.other_teacher = load_named_model(*options.teacher, RunModel::student, WeightType::bf16);
    set_input_precision(*subject.other_teacher, options.compute);
  }
  const std::int64_t vocabulary = subject.model->config().vocab_size;
  LanguageModel* const teacher = subject.teacher();
  if (teacher != nullptr && teacher->config().vocab_size != vocabulary)
    throw Error({.who = options.target.string(),
                 .expected = "the teacher's vocabulary of " + std::to_string(teacher->config().vocab_size),
                 .got = std::to_string(vocabulary)});

  const auto tokenizer = find_tokenizer(recipe.data, model_folder);
  if (tokenizer != nullptr) check_vocabulary(*tokenizer, vocabulary, model_folder.string());
  std::vector<fs::path> models = of_run ? models_of(recipe) : std::vector{options.target};
  if (options.teacher) models.push_back(model_files(*options.teacher));
  check_one_vocabulary(models, tokenizer.get(), vocabulary);
  if (options.problems) {
    ProblemEvaluationConfig config = recipe.evaluate.problems.value_or(ProblemEvaluationConfig());
    config.count = *options.problems;
    const DecodeHead head(*subject.model, options.decode.head);
    show_problems(subject, tokenizer.get(), config, options.json, print);
    return ExitCode::done;
  }
  TextReader reader{tokenizer.get(), vocabulary, model_folder, recipe.data.format, {}};
  if (subject.own_teacher != nullptr)
    reader.written = teacher_writer(*subject.own_teacher, tokenizer.get(), {options.target});
  const PackedSequences sequences(read_source(recipe.data.eval, "eval", reader), recipe.data.packing,
                                  recipe.data.sequence_length);
  if (teacher == nullptr) require_labels(sequences, "eval", "an evaluation without a teacher");
  warn_of_held_out_text(sequences, nullptr);
  if (fingerprint(sequences) == trained_on)
    log_warning("{} is the text that {} was trained on: these figures are no held-out ones",
                sequences.documents().source, options.target.string());
  warn_beyond_context(recipe.data.sequence_length, subject.model->config());
  const auto batches = all_batches(sequences, recipe.evaluate.batch_size);
  tell_head_effect(options.decode, *subject.model, batches, subject.name);
  const DecodeHead head(*subject.model, options.decode.head);
  std::vector<LayerRouting> routing;
  const EvalFigures figures = evaluate(*subject.model, teacher, batches, &routing);
  if (options.logits) write_logits(*subject.model, batches, *options.logits);
  if (options.json) {
    nlohmann::ordered_json json = json_of(figures);
    if (!routing.empty()) json["routing"] = json_of(routing);
    print << json.dump() << "\n";
    return ExitCode::done;
  }
  ArmSummary row;
  row.name = subject.name;
  row.eval = figures;
  print << comparison_table({row}).text();
  if (!routing.empty()) print << "\n" << routing_table(routing).text();
  return ExitCode::done;
}

}  // namespace qad::verbs
