// Problems: what is asked can be checked, the worked solutions are right, the splits share no question.
#include "data/tasks/problems.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <set>

namespace qad {
namespace {

constexpr int kMany = 2000;

std::vector<ProblemFamily> families() {
  std::vector<ProblemFamily> all;
  for (const auto& entry : enum_names(ProblemFamily())) all.push_back(entry.value);
  return all;
}

TEST(Problems, SolutionsEndInTheAnswerAndFitTheirLimits) {
  for (const ProblemFamily family : families())
    for (int i = 0; i < kMany; ++i) {
      const WorkedProblem problem = make_problem(family, ProblemSplit::train, 1, i);
      EXPECT_TRUE(is_right(problem, problem.solution)) << problem.prompt << problem.solution;
      EXPECT_TRUE(is_right(problem, " #" + problem.answer + "\n"));
      EXPECT_FALSE(is_right(problem, " #" + problem.answer + "1"));
      EXPECT_FALSE(is_right(problem, problem.answer));
      EXPECT_LE(problem.prompt.size(), 96u);
      EXPECT_LE(problem.solution.size(), 79u);
      EXPECT_TRUE(std::ranges::all_of(problem.prompt + problem.solution,
                                      [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    }
}

// A calculator of our own: sums, differences and products, products first.
long calculate(const std::string& expression) {
  static const std::regex term(R"(([-+]?)(\d+)((?:\*\d+)*))"), factor(R"(\*(\d+))");
  long sum = 0;
  for (std::sregex_iterator at(expression.begin(), expression.end(), term), end; at != end; ++at) {
    long product = std::stol((*at)[2]);
    const std::string factors = (*at)[3];
    for (std::sregex_iterator by(factors.begin(), factors.end(), factor); by != end; ++by)
      product *= std::stol((*by)[1]);
    sum += (*at)[1] == "-" ? -product : product;
  }
  return sum;
}

TEST(Problems, EveryWrittenStepIsTrue) {
  ASSERT_EQ(calculate("2+3*4-5"), 9);
  const std::regex step(R"((\d+(?:[-+*]\d+)+)=(-?\d+))");
  for (const ProblemFamily family :
       {ProblemFamily::arithmetic, ProblemFamily::word_problems, ProblemFamily::programs}) {
    int steps = 0;
    for (int i = 0; i < kMany; ++i) {
      const std::string text = make_problem(family, ProblemSplit::train, 1, i).solution;
      for (std::sregex_iterator at(text.begin(), text.end(), step), end; at != end; ++at, ++steps)
        EXPECT_EQ(std::stol((*at)[2]), calculate((*at)[1])) << text;
    }
    EXPECT_GT(steps, 2 * kMany);
  }
}

TEST(Problems, ArithmeticAnswersAreThoseOfACalculator) {
  for (int i = 0; i < kMany; ++i) {
    const WorkedProblem problem = make_problem(ProblemFamily::arithmetic, ProblemSplit::test, 7, i);
    ASSERT_TRUE(problem.prompt.starts_with("Q: ") && problem.prompt.ends_with("\nA:")) << problem.prompt;
    EXPECT_EQ(problem.answer, std::to_string(calculate(problem.prompt.substr(3, problem.prompt.size() - 6))));
  }
}

TEST(Problems, SplitsShareNoQuestion) {
  for (const ProblemFamily family : families()) {
    std::set<std::string> train;
    for (int i = 0; i < 5 * kMany; ++i) train.insert(make_problem(family, ProblemSplit::train, 1, i).prompt);
    std::set<std::string> test;
    for (int i = 0; i < kMany / 4; ++i) {
      const std::string prompt = make_problem(family, ProblemSplit::test, 1, i).prompt;
      EXPECT_FALSE(train.contains(prompt)) << prompt;
      EXPECT_NE(prompt, make_problem(family, ProblemSplit::validation, 1, i).prompt);
      test.insert(prompt);
    }
    EXPECT_GT(test.size(), kMany / 4 * 0.9);  // hardly one comes twice
  }
}

TEST(Problems, AreTheSameEverywhere) {
  EXPECT_EQ(make_problem(ProblemFamily::arithmetic, ProblemSplit::test, 1, 3).prompt,
            make_problem(ProblemFamily::arithmetic, ProblemSplit::test, 1, 3).prompt);
  ProblemsConfig config;
  config.documents = 20;
  const auto whole = problem_texts(config);
  config.first = 10;
  config.documents = 10;
  const auto half = problem_texts(config);
  for (std::size_t i = 0; i < half.size(); ++i) EXPECT_EQ(half[i].text, whole[i + 10].text);
}

TEST(Problems, TextsAreAsImperfectAsAsked) {
  ProblemsConfig config;
  config.documents = 8000;
  config.steps = 0.4;
  config.mistakes = 0.25;
  int alone = 0, wrong = 0, arithmetic = 0;
  const std::vector<ProblemText> texts = problem_texts(config);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const WorkedProblem right = make_problem(families()[i % 4], ProblemSplit::train, 1, static_cast<std::int64_t>(i));
    EXPECT_EQ(texts[i].prompt, right.prompt);
    wrong += !is_right(right, texts[i].text);
    if (i % 4 != 0) continue;
    ++arithmetic;
    alone += texts[i].text.starts_with(" #");
  }
  EXPECT_NEAR(alone / static_cast<double>(arithmetic), 0.6, 0.04);
  EXPECT_GT(wrong / 8000.0, 0.15);
  EXPECT_LE(wrong / 8000.0, 0.27);
}

TEST(Problems, ATranscriptIsTheQuestionAndItsSolutionAsOneText) {
  ProblemsConfig config;
  config.documents = 100;
  config.steps = 0.5;
  const std::vector<ProblemText> questions = problem_texts(config);
  config.form = ProblemForm::transcript;
  const std::vector<ProblemText> transcripts = problem_texts(config);
  ASSERT_EQ(transcripts.size(), questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i) {
    EXPECT_EQ(transcripts[i].text, questions[i].prompt + questions[i].text);
    EXPECT_TRUE(transcripts[i].prompt.empty());
  }
}

TEST(Problems, PlainTextHasNoPrompt) {
  ProblemsConfig config;
  config.documents = 100;
  config.form = ProblemForm::plain;
  config.stories = 0.5;
  for (const ProblemText& document : problem_texts(config)) {
    EXPECT_TRUE(document.prompt.empty());
    EXPECT_FALSE(document.text.empty());
    EXPECT_EQ(document.text.find('#') == std::string::npos || document.text.find("print(") != std::string::npos, true);
  }
}

TEST(Problems, TheFinalAnswerFollowsTheLastMark) {
  EXPECT_EQ(final_answer(" 1+1=2 #2"), "2");
  EXPECT_EQ(final_answer("#1 no, # 3 \n"), "3");
  EXPECT_EQ(final_answer("2"), "");
  EXPECT_EQ(final_answer("so #"), "");
}

}  // namespace
}  // namespace qad
