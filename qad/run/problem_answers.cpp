#include "qad/run/problem_answers.h"

#include <chrono>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "qad/report/format.h"
#include "qad/report/problem_json.h"
#include "qad/report/progress.h"

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
  if (std::filesystem::exists(file)) return read_answers(file);
  const std::vector<AnsweredProblem> answered = problem_answers(model, tokenizer, config, name);
  write_answers(file, answered);
  return answered;
}

}  // namespace qad
