// Figures over answered problems, with intervals: of one model, and of a student against its teacher and PTQ.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "autograd/base/result_fields.h"
#include "qad/train/problem_evaluator.h"

namespace qad {

/// Of a family, or the mean over families. Shares lie between 0 and 1; intervals are those of 95 % by bootstrap over
/// problems. NaN is "not measured".
struct ProblemFigures {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  std::int64_t problems = 0;
  double exact_match = kNone;  ///< share of right answers, greedy and sampled ones alike
  double exact_match_low = kNone, exact_match_high = kNone;
  double greedy = kNone;  ///< share of right greedy answers
  double greedy_low = kNone, greedy_high = kNone;
  double mean_tokens = kNone;                             ///< of an answer
  double cut = kNone;                                     ///< share of answers
  double right_to_wrong = kNone, wrong_to_right = kNone;  ///< share of greedy answers, against the teacher's
  double recovered = kNone;                               ///< of what PTQ lost (recover, below)
  double recovered_low = kNone, recovered_high = kNone;

  static void visit_fields(auto& self, auto&& visit) {
    visit("problems", self.problems);
    visit("exact_match", self.exact_match);
    visit("exact_match_low", self.exact_match_low);
    visit("exact_match_high", self.exact_match_high);
    visit("greedy", self.greedy);
    visit("greedy_low", self.greedy_low);
    visit("greedy_high", self.greedy_high);
    visit("mean_tokens", self.mean_tokens);
    visit("cut", self.cut);
    visit("right_to_wrong", self.right_to_wrong);
    visit("wrong_to_right", self.wrong_to_right);
    visit("recovered", self.recovered);
    visit("recovered_low", self.recovered_low);
    visit("recovered_high", self.recovered_high);
  }
};

struct ProblemResults {
  struct Family {
    std::string name;
    ProblemFigures figures;
  };
  std::vector<Family> families;
  ProblemFigures mean;  ///< each family counts the same; `problems` is their sum

  [[nodiscard]] bool measured() const { return !families.empty(); }
};

/// How one or several students, trained with different seeds, answered the same problems. A problem's score is its mean
/// over the students, so that intervals stay those over problems.
using AnsweredByRun = std::vector<std::vector<AnsweredProblem>>;

/// `teacher`: its answers to the same problems, or none.
[[nodiscard]] ProblemResults figures_of(const AnsweredByRun& runs, const std::vector<AnsweredProblem>& teacher = {});

/// Fills in how much of what PTQ lost a student won back, (student - ptq)/(teacher - ptq) in exact match, for each
/// family and for the mean. All three answered the same problems, and a resample draws the same for all. Where PTQ lost
/// nothing there is no such share, and no interval where it lost nothing in one of the resamples.
void recover(ProblemResults& results, const AnsweredByRun& student, const std::vector<AnsweredProblem>& ptq,
             const std::vector<AnsweredProblem>& teacher);

}  // namespace qad
