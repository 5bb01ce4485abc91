// Exact match: what is counted, with an answerer that needs no model, and the figures and intervals over it.
#include "qad/train/problem_evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "autograd/base/error.h"
#include "models/import/model_folder.h"
#include "qad/train/problem_figures.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

ProblemEvaluationConfig small_config() {
  ProblemEvaluationConfig config;
  config.count = 40;
  config.samples = 3;
  return config;
}

// Knows the right answers, and is told which of them to give.
class Pupil {
 public:
  explicit Pupil(const ProblemEvaluationConfig& config) {
    for (const auto& family : enum_names(ProblemFamily()))
      for (std::int64_t i = 0; i < config.count; ++i) {
        const WorkedProblem problem =
            make_problem(family.value, config.split, static_cast<std::uint64_t>(config.seed), config.first + i);
        solutions_[problem.prompt] = problem.solution;
      }
  }
  // `answer(i, sample)` gives the answer to prompt i, where sample -1 is the greedy one.
  template <class Give>
  [[nodiscard]] Answerer giving(Give give) const {
    return [this, give](const AnswerRequest& request) {
      std::vector<Answer> answers;
      for (std::size_t i = 0; i < request.prompts.size(); ++i)
        for (std::int64_t sample = 0; sample < request.samples; ++sample)
          answers.push_back(give(i, request.temperature == 0 ? -1 : sample, solutions_.at(request.prompts[i])));
      return answers;
    };
  }

 private:
  std::map<std::string, std::string> solutions_;
};

Answer right(const std::string& solution) { return {solution, 10, false}; }
Answer wrong() { return {" no #idea", 4, false}; }

TEST(ProblemEvaluator, CountsRightWrongAndCutAnswers) {
  const ProblemEvaluationConfig config = small_config();
  const Pupil pupil(config);
  const auto answered =
      answer_problems(config, pupil.giving([](std::size_t, std::int64_t sample, const std::string& solution) {
        if (sample == 1) return wrong();
        if (sample == 2) return Answer{solution, 80, true};  // right, had it not been cut
        return right(solution);
      }));
  ASSERT_EQ(answered.size(), 160u);
  for (const AnsweredProblem& record : answered) {
    EXPECT_TRUE(record.greedy_right);
    EXPECT_EQ(record.samples, 3);
    EXPECT_EQ(record.samples_right, 1);
    EXPECT_EQ(record.tokens, 10 + 10 + 4 + 80);
    EXPECT_EQ(record.cut, 1);
    EXPECT_EQ(record.exact_match(), 0.5);
  }
  const ProblemResults results = figures_of({answered});
  ASSERT_EQ(results.families.size(), 4u);
  EXPECT_EQ(results.families[0].name, "arithmetic");
  EXPECT_EQ(results.families[0].figures.problems, 40);
  EXPECT_EQ(results.mean.problems, 160);
  EXPECT_EQ(results.mean.exact_match, 0.5);
  EXPECT_EQ(results.mean.exact_match_low, 0.5);
  EXPECT_EQ(results.mean.greedy, 1.0);
  EXPECT_EQ(results.mean.mean_tokens, 26);
  EXPECT_EQ(results.mean.cut, 0.25);
  EXPECT_TRUE(std::isnan(results.mean.right_to_wrong));
  EXPECT_TRUE(std::isnan(results.mean.recovered));
}

TEST(ProblemEvaluator, AsksForTheFamiliesOfTheRecipe) {
  ProblemEvaluationConfig config = small_config();
  config.families = {ProblemFamily::programs, ProblemFamily::symbols};
  config.samples = 0;
  config.first = 7;
  const Pupil pupil(config);
  const auto answered = answer_problems(
      config, pupil.giving([](std::size_t, std::int64_t, const std::string& solution) { return right(solution); }));
  ASSERT_EQ(answered.size(), 80u);
  EXPECT_EQ(answered[0].family, "programs");
  EXPECT_EQ(answered[40].family, "symbols");
  EXPECT_EQ(answered[40].index, 7);
  EXPECT_EQ(figures_of({answered}).mean.exact_match, 1.0);
}

// The greedy answers of the first `known` of 40 problems in each family, and no sampled one.
std::vector<AnsweredProblem> knowing(std::size_t first, std::size_t known) {
  ProblemEvaluationConfig config = small_config();
  config.samples = 0;
  const Pupil pupil(config);
  return answer_problems(config, pupil.giving([=](std::size_t i, std::int64_t, const std::string& solution) {
    return i % 40 >= first && i % 40 < first + known ? right(solution) : wrong();
  }));
}

TEST(ProblemFigures, FlipsAgainstTheTeacher) {
  const ProblemFigures mean = figures_of({knowing(10, 30)}, knowing(0, 30)).mean;
  EXPECT_EQ(mean.right_to_wrong, 0.25);
  EXPECT_EQ(mean.wrong_to_right, 0.25);
  EXPECT_EQ(mean.greedy, 0.75);
}

TEST(ProblemFigures, IntervalOfTheMeanIsNarrowerThanThatOfAFamily) {
  const ProblemResults results = figures_of({knowing(0, 20)});
  const ProblemFigures &mean = results.mean, &family = results.families[1].figures;
  const double half_family = (family.exact_match_high - family.exact_match_low) / 2;
  const double half_mean = (mean.exact_match_high - mean.exact_match_low) / 2;
  EXPECT_NEAR(half_family, 1.96 * std::sqrt(0.25 / 40), 0.03);
  EXPECT_NEAR(half_mean, 1.96 * std::sqrt(0.25 / 160), 0.02);
}

TEST(ProblemFigures, RecoveredIsTheShareOfWhatPtqLost) {
  const auto teacher = knowing(0, 36), ptq = knowing(0, 16), student = knowing(0, 31);
  ProblemResults results = figures_of({student}, teacher);
  recover(results, {student}, ptq, teacher);
  EXPECT_NEAR(results.mean.recovered, 0.75, 1e-12);
  EXPECT_NEAR(results.families[2].figures.recovered, 0.75, 1e-12);
  // Of the problems that PTQ lost (20 of 40 in each of four families) three in four came back: a binomial share of 80.
  EXPECT_NEAR(results.mean.recovered_high - results.mean.recovered_low, 2 * 1.96 * std::sqrt(0.75 * 0.25 / 80), 0.03);

  recover(results, {teacher}, ptq, teacher);
  EXPECT_EQ(results.mean.recovered, 1.0);
  EXPECT_EQ(results.mean.recovered_low, 1.0);

  recover(results, {student}, teacher, teacher);  // PTQ lost nothing
  EXPECT_TRUE(std::isnan(results.mean.recovered));
  EXPECT_TRUE(std::isnan(results.mean.recovered_low));
}

TEST(ProblemFigures, OfSeveralSeedsEachProblemCountsItsMean) {
  const auto teacher = knowing(0, 40), ptq = knowing(0, 0);
  const AnsweredByRun runs = {knowing(0, 20), knowing(20, 20)};  // each problem is right with one seed of two
  ProblemResults results = figures_of(runs, teacher);
  EXPECT_EQ(results.mean.problems, 160);
  EXPECT_EQ(results.mean.exact_match, 0.5);
  EXPECT_EQ(results.mean.exact_match_low, 0.5);
  EXPECT_EQ(results.mean.exact_match_high, 0.5);
  EXPECT_EQ(results.mean.right_to_wrong, 0.5);
  recover(results, runs, ptq, teacher);
  EXPECT_EQ(results.mean.recovered, 0.5);
}

TEST(ProblemFigures, OtherProblemsAreRefused) {
  ProblemEvaluationConfig config = small_config();
  config.seed = 2;
  const auto others = answer_problems(
      config, Pupil(config).giving([](std::size_t, std::int64_t, const std::string&) { return wrong(); }));
  EXPECT_THROW(static_cast<void>(figures_of({knowing(0, 1)}, others)), Error);
}

// A model decodes: lengths, limits and texts come from it.
TEST(ProblemEvaluator, AModelAnswers) {
  ModelConfig sizes = testing::small_config_of_bytes();
  sizes.initializer_range = 0.3;
  const auto model = initialize_model(sizes, 1);
  ProblemEvaluationConfig config = small_config();
  config.count = 5;
  config.max_new_tokens = 12;
  const auto tokenizer = load_tokenizer("bytes");
  const auto answered = answer_problems(config, answerer_of(*model, *tokenizer, config));
  config.batch = 3;
  const auto again = answer_problems(config, answerer_of(*model, *tokenizer, config));
  ASSERT_EQ(answered.size(), 20u);
  for (std::size_t i = 0; i < answered.size(); ++i) {
    EXPECT_LE(answered[i].tokens, 4 * 12);
    EXPECT_GE(answered[i].tokens, answered[i].cut * 12);
    EXPECT_EQ(answered[i].greedy, again[i].greedy);
    EXPECT_EQ(answered[i].tokens, again[i].tokens);
  }
}

}  // namespace
}  // namespace qad
