// Exact match: a model answers problems whose answers a program can check (data/tasks/problems.h), once greedily and a
// few times at a temperature. Who answers is a function, so that the figures know no model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "models/decode/generate.h"
#include "models/language_model.h"
#include "qad/train/problem_evaluation_config.h"

namespace qad {

struct Answer {
  std::string text;  ///< what follows the prompt
  std::int64_t tokens = 0;
  bool cut = false;  ///< at the length limit; such an answer counts as wrong
};

struct AnswerRequest {
  std::vector<std::string> prompts;
  std::int64_t samples = 1;  ///< answers to each prompt, standing together in the result
  double temperature = 0.0;
};
using Answerer = std::function<std::vector<Answer>(const AnswerRequest&)>;

/// Answers by decoding. `model` and `tokenizer` must outlive it.
[[nodiscard]] Answerer answerer_of(LanguageModel& model, const Tokenizer& tokenizer,
                                   const ProblemEvaluationConfig& config, const GenerateHooks& hooks = {});

/// A problem and how it was answered.
struct AnsweredProblem {
  std::string family;
  std::int64_t index = 0;
  std::string prompt, answer;  ///< the right one
  std::string greedy;          ///< text of the greedy answer
  bool greedy_right = false;
  std::int64_t samples = 0, samples_right = 0;
  std::int64_t tokens = 0, cut = 0;  ///< of all its answers: their tokens, and how many were cut

  [[nodiscard]] std::int64_t answers() const { return 1 + samples; }
  /// The share of right ones among all its answers.
  [[nodiscard]] double exact_match() const {
    return static_cast<double>((greedy_right ? 1 : 0) + samples_right) / static_cast<double>(answers());
  }

  static void visit_fields(auto& self, auto&& visit) {
    visit("family", self.family);
    visit("index", self.index);
    visit("prompt", self.prompt);
    visit("answer", self.answer);
    visit("greedy", self.greedy);
    visit("right", self.greedy_right);
    visit("samples", self.samples);
    visit("samples_right", self.samples_right);
    visit("tokens", self.tokens);
    visit("cut", self.cut);
  }
};

/// Family by family, each in the order of its indices.
[[nodiscard]] std::vector<AnsweredProblem> answer_problems(const ProblemEvaluationConfig& config,
                                                           const Answerer& answerer);

}  // namespace qad
