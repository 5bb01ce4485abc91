// Exact match on disk and as a table.
#include "qad/report/problem_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "qad/report/problem_table.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

AnsweredProblem some_problem(std::int64_t index) {
  return {.family = "symbols",
          .index = index,
          .prompt = "Q: sort \"b, a\"\nA:",
          .answer = "a, b",
          .greedy = " \xef\xbf\xbd #a, b",
          .greedy_right = index % 2 == 0,
          .samples = 4,
          .samples_right = 3,
          .tokens = 57,
          .cut = 1};
}

TEST(AnswersFile, ReadsWhatItWrote) {
  const testing::TemporaryFolder folder;
  const std::vector<AnsweredProblem> answered = {some_problem(0), some_problem(1)};
  write_answers(folder / "answers.jsonl", answered);
  const auto read = read_answers(folder / "answers.jsonl");
  ASSERT_EQ(read.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].family, answered[i].family);
    EXPECT_EQ(read[i].index, answered[i].index);
    EXPECT_EQ(read[i].prompt, answered[i].prompt);
    EXPECT_EQ(read[i].answer, answered[i].answer);
    EXPECT_EQ(read[i].greedy, answered[i].greedy);
    EXPECT_EQ(read[i].greedy_right, answered[i].greedy_right);
    EXPECT_EQ(read[i].exact_match(), answered[i].exact_match());
    EXPECT_EQ(read[i].tokens, answered[i].tokens);
    EXPECT_EQ(read[i].cut, answered[i].cut);
  }
}

TEST(AnswersFile, DamageIsNamedByLine) {
  const testing::TemporaryFolder folder;
  write_answers(folder / "answers.jsonl", {some_problem(0)});
  const std::string line = read_file(folder / "answers.jsonl", "answers");
  write_file_atomically(folder / "answers.jsonl", line + line.substr(0, 30));
  testing::expect_mentions(testing::error_of([&] { static_cast<void>(read_answers(folder / "answers.jsonl")); }),
                           {"answers.jsonl:2", "an answered problem", "qad resume answers again"});
}

ProblemFigures figures(double exact_match) {
  ProblemFigures result;
  result.problems = 500;
  result.exact_match = exact_match;
  result.exact_match_low = exact_match - 0.04;
  result.exact_match_high = exact_match + 0.04;
  result.mean_tokens = 31.25;
  result.cut = 0.011;
  return result;
}

TEST(ProblemResultsJson, LeavesOutWhatWasNotMeasured) {
  const ProblemResults results{{{"symbols", figures(0.5)}, {"programs", figures(0.75)}}, figures(0.625)};
  const auto json = json_of(results);
  EXPECT_FALSE(json.at("mean").contains("recovered"));
  const ProblemResults again = problem_results_of(json);
  ASSERT_EQ(again.families.size(), 2u);
  EXPECT_EQ(again.families[1].name, "programs");
  EXPECT_EQ(again.families[1].figures.exact_match, 0.75);
  EXPECT_TRUE(std::isnan(again.mean.recovered));
  EXPECT_EQ(json_of(again), json);
}

TEST(ProblemTable, ShowsFamiliesTheMeanAndWhatWasWonBack) {
  const ProblemResults teacher{{{"symbols", figures(0.5)}, {"programs", figures(0.75)}}, figures(0.625)};
  ProblemResults student = teacher;
  student.mean.recovered = 0.7;
  student.mean.recovered_low = 0.55;
  student.mean.recovered_high = 0.81;
  student.mean.right_to_wrong = 0.1;
  student.mean.wrong_to_right = 0.02;
  const std::vector<ProblemRow> rows = {{"bf16", teacher}, {"none", {}}, {"qad", student}};
  EXPECT_EQ(problem_note(rows), "exact match in %, 500 problems; in brackets 95 % intervals over problems");
  EXPECT_EQ(problem_table(rows).text(),
            "               symbols          programs              mean    won back  right→wrong  wrong→right  tokens"
            "  cut\n"
            "────  ────────────────  ────────────────  ────────────────  ──────────  ───────────  ───────────  ──────"
            "  ───\n"
            "bf16  50.0 (46.0…54.0)  75.0 (71.0…79.0)  62.5 (58.5…66.5)           –            –            –    31.2"
            "  1.1\n"
            "qad   50.0 (46.0…54.0)  75.0 (71.0…79.0)  62.5 (58.5…66.5)  70 (55…81)         10.0          2.0    31.2"
            "  1.1\n");
  EXPECT_EQ(problem_note({{"none", {}}}), "");
}

}  // namespace
}  // namespace qad
