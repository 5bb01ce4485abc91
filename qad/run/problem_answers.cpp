#include "qad/run/problem_answers.h"

#include <chrono>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/ranks/communicator.h"
#include "qad/report/format.h"
#include "qad/report/problem_json.h"
#include "qad/report/progress.h"
#include "qad/run/shared_run.h"
#include "qad/train/head_effect.h"

namespace qad {

std::vector<AnsweredProblem> problem_answers(LanguageModel& model, const Tokenizer* tokenizer,
                                             const ProblemEvaluationConfig& config, const std::string& name) {
  if (tokenizer == nullptr)
    throw Error({.who = "evaluate.problems", .expected = "a tokenizer", .got = "none", .hint = "set data.tokenizer"});
  const auto families = static_cast<std::int64_t>(families_or_all(config.families).size());
  CountProgress progress(stderr_terminal(), name, "answers", families * config.count * (1 + config.samples));
  const auto began = std::chrono::steady_clock::now();
  GenerateProgress before, now;  // the greedy answers are written first
  GenerateHooks hooks;
  hooks.progress = [&](const GenerateProgress& of_this_call) {
    now = of_this_call;
    progress.update(before.sequences + now.sequences, before.tokens + now.tokens);
  };
  const Answerer ask = answerer_of(model, *tokenizer, config, hooks);
  const auto answered = answer_problems(config, [&](const AnswerRequest& request) {
    std::vector<Answer> answers = ask(request);
    before.sequences += now.sequences;
    before.tokens += now.tokens;
    return answers;
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  log_info("{}: {} answers in {}, {} tokens/s", name, before.sequences, format_duration(seconds),
           format_count(static_cast<double>(before.tokens) / seconds));
  return answered;
}

std::vector<AnsweredProblem> kept_problem_answers(LanguageModel& model, const Tokenizer* tokenizer,
                                                  const ProblemEvaluationConfig& config, const std::string& name,
                                                  const std::filesystem::path& file) {
  if (first_has(file)) return read_answers(file);
  const std::vector<AnsweredProblem> answered = problem_answers(model, tokenizer, config, name);
  if (ranks().is_first()) write_answers(file, answered);
  return answered;
}

std::vector<AnsweredProblem> student_answers(const Recipe& recipe, const Materials& materials, LanguageModel& student,
                                             const std::string& name, const RunFolder& folder) {
  if (!first_has(folder.answers())) tell_head_effect(recipe.decode, student, materials.evaluation, name);
  const DecodeHead head(student, recipe.decode.head);
  return kept_problem_answers(student, materials.tokenizer.get(), *recipe.evaluate.problems, name, folder.answers());
}

void tell_head_effect(const DecodeConfig& decode, LanguageModel& student, const std::vector<TokenBatch>& batches,
                      const std::string& name) {
  if (!decode.head || batches.empty()) return;
  log_info("{}: {}", name, text_of(head_effect(student, *decode.head, batches), *decode.head));
}

}  // namespace qad
