#include "qad/train/problem_evaluator.h"

#include "autograd/base/error.h"
#include "models/decode/generate_over_ranks.h"

namespace qad {

Answerer answerer_of(LanguageModel& model, const Tokenizer& tokenizer, const ProblemEvaluationConfig& config,
                     const GenerateHooks& hooks) {
  return [&model, &tokenizer, config, hooks](const AnswerRequest& request) {
    std::vector<std::vector<std::int32_t>> prompts;
    for (const std::string& prompt : request.prompts) prompts.push_back(prompt_ids(tokenizer, prompt));
    const GenerateConfig generation{.max_tokens = 0,
                                    .max_new_tokens = config.max_new_tokens,
                                    .temperature = request.temperature,
                                    .seed = static_cast<std::uint64_t>(config.seed),
                                    .samples = request.samples,
                                    .batch = config.batch};
    std::vector<Answer> answers;
    for (const GeneratedSequence& text : generate_over_ranks(model, prompts, generation, 0, hooks)) {
      const auto written = text.continuation();
      answers.push_back({tokenizer.decode(written), static_cast<std::int64_t>(written.size()), !text.ended});
    }
    return answers;
  };
}

std::vector<AnsweredProblem> answer_problems(const ProblemEvaluationConfig& config, const Answerer& answerer) {
  std::vector<WorkedProblem> problems;
  std::vector<AnsweredProblem> answered;
  AnswerRequest request;
  for (const ProblemFamily family : families_or_all(config.families))
    for (std::int64_t index = config.first; index < config.first + config.count; ++index) {
      problems.push_back(make_problem(family, config.split, static_cast<std::uint64_t>(config.seed), index));
      AnsweredProblem& record = answered.emplace_back();
      record.family = enum_name(family);
      record.index = index;
      record.prompt = problems.back().prompt;
      record.answer = problems.back().answer;
      request.prompts.push_back(record.prompt);
    }

  const auto count = [&](std::size_t i, const Answer& answer) {
    answered[i].tokens += answer.tokens;
    answered[i].cut += answer.cut ? 1 : 0;
    return !answer.cut && is_right(problems[i], answer.text);
  };
  const std::vector<Answer> greedy = answerer(request);
  QAD_ASSERT(greedy.size() == problems.size());
  for (std::size_t i = 0; i < problems.size(); ++i) {
    answered[i].greedy = greedy[i].text;
    answered[i].greedy_right = count(i, greedy[i]);
  }
  if (config.samples == 0) return answered;
  request.samples = config.samples;
  request.temperature = config.temperature;
  const std::vector<Answer> sampled = answerer(request);
  const auto samples = static_cast<std::size_t>(config.samples);
  QAD_ASSERT(sampled.size() == problems.size() * samples);
  for (std::size_t i = 0; i < sampled.size(); ++i) {
    AnsweredProblem& record = answered[i / samples];
    ++record.samples;
    record.samples_right += count(i / samples, sampled[i]) ? 1 : 0;
  }
  return answered;
}

}  // namespace qad
