#include "qad/train/problem_figures.h"

#include <algorithm>
#include <iterator>

#include "autograd/base/error.h"
#include "qad/train/bootstrap.h"

namespace qad {
namespace {

// A number for each problem, by family.
using Values = std::vector<std::vector<double>>;

// The records of each family, in the order in which families first come.
std::vector<std::vector<const AnsweredProblem*>> by_family(const std::vector<AnsweredProblem>& answered) {
  std::vector<std::vector<const AnsweredProblem*>> families;
  for (const AnsweredProblem& record : answered) {
    const auto found =
        std::ranges::find_if(families, [&](const auto& family) { return family.front()->family == record.family; });
    if (found != families.end()) found->push_back(&record);
    else families.push_back({&record});
  }
  return families;
}

// The mean over runs of value(record), for each problem.
template <class Value>
Values values_of(const AnsweredByRun& runs, Value&& value) {
  Values values;
  for (const auto& run : runs) {
    const auto families = by_family(run);
    values.resize(families.size());
    for (std::size_t f = 0; f < families.size(); ++f) {
      values[f].resize(families[f].size());
      for (std::size_t i = 0; i < families[f].size(); ++i)
        values[f][i] += static_cast<double>(value(*families[f][i])) / static_cast<double>(runs.size());
    }
  }
  return values;
}

Values exact_match_of(const AnsweredByRun& runs) {
  return values_of(runs, [](const AnsweredProblem& record) { return record.exact_match(); });
}

std::vector<std::size_t> sizes_of(const Values& values) {
  std::vector<std::size_t> sizes;
  for (const auto& family : values) sizes.push_back(family.size());
  return sizes;
}

double mean_of(const std::vector<double>& values, const std::vector<std::size_t>* drawn = nullptr) {
  double sum = 0;
  if (drawn == nullptr)
    for (const double value : values) sum += value;
  else
    for (const std::size_t i : *drawn) sum += values[i];
  return sum / static_cast<double>(values.size());
}

// The mean over families of their means.
double mean_of(const Values& values, const Resample* drawn = nullptr) {
  double sum = 0;
  for (std::size_t f = 0; f < values.size(); ++f) sum += mean_of(values[f], drawn != nullptr ? &(*drawn)[f] : nullptr);
  return sum / static_cast<double>(values.size());
}

Interval interval_of(const Values& values) {
  return bootstrap_interval(sizes_of(values), [&](const Resample& drawn) { return mean_of(values, &drawn); });
}

ProblemFigures basic_figures(const AnsweredByRun& runs) {
  ProblemFigures figures;
  figures.problems = static_cast<std::int64_t>(runs.front().size());
  const Values all = exact_match_of(runs);
  const Values greedy = values_of(runs, [](const AnsweredProblem& record) { return record.greedy_right; });
  const Interval all_interval = interval_of(all), greedy_interval = interval_of(greedy);
  figures.exact_match = mean_of(all);
  figures.exact_match_low = all_interval.low;
  figures.exact_match_high = all_interval.high;
  figures.greedy = mean_of(greedy);
  figures.greedy_low = greedy_interval.low;
  figures.greedy_high = greedy_interval.high;
  const auto share = [&](auto part) {
    return mean_of(values_of(runs, [&](const AnsweredProblem& record) {
      return static_cast<double>(part(record)) / static_cast<double>(record.answers());
    }));
  };
  figures.mean_tokens = share([](const AnsweredProblem& record) { return record.tokens; });
  figures.cut = share([](const AnsweredProblem& record) { return record.cut; });
  return figures;
}

void expect_same_problems(const AnsweredByRun& runs, const std::vector<AnsweredProblem>& others) {
  for (const auto& run : runs) {
    const bool same = std::ranges::equal(
        run, others, [](const auto& x, const auto& y) { return x.family == y.family && x.prompt == y.prompt; });
    if (!same)
      throw Error({.who = "answered problems",
                   .expected = "the same problems for teacher and students",
                   .got = "others",
                   .hint = "remove the answers.jsonl of an earlier recipe"});
  }
}

void add_flips(ProblemFigures& figures, const AnsweredByRun& runs, const std::vector<AnsweredProblem>& teacher) {
  expect_same_problems(runs, teacher);
  const auto share = [&](bool before, bool after) {
    AnsweredByRun changed = runs;
    for (auto& run : changed)
      for (std::size_t i = 0; i < run.size(); ++i)
        run[i].greedy_right = teacher[i].greedy_right == before && run[i].greedy_right == after;
    return mean_of(values_of(changed, [](const AnsweredProblem& record) { return record.greedy_right; }));
  };
  figures.right_to_wrong = share(true, false);
  figures.wrong_to_right = share(false, true);
}

void add_recovered(ProblemFigures& figures, const Values& student, const Values& ptq, const Values& teacher) {
  const auto share = [&](const Resample* drawn) {
    const double lost = mean_of(teacher, drawn) - mean_of(ptq, drawn);
    return lost > 0 ? (mean_of(student, drawn) - mean_of(ptq, drawn)) / lost : ProblemFigures::kNone;
  };
  figures.recovered = share(nullptr);
  const Interval interval = bootstrap_interval(sizes_of(student), [&](const Resample& drawn) { return share(&drawn); });
  figures.recovered_low = interval.low;
  figures.recovered_high = interval.high;
}

std::vector<AnsweredProblem> of_family(const std::vector<AnsweredProblem>& answered, const std::string& family) {
  std::vector<AnsweredProblem> result;
  std::ranges::copy_if(answered, std::back_inserter(result),
                       [&](const AnsweredProblem& record) { return record.family == family; });
  return result;
}

AnsweredByRun of_family(const AnsweredByRun& runs, const std::string& family) {
  AnsweredByRun result;
  for (const auto& run : runs) result.push_back(of_family(run, family));
  return result;
}

}  // namespace

ProblemResults figures_of(const AnsweredByRun& runs, const std::vector<AnsweredProblem>& teacher) {
  ProblemResults results;
  const auto figures = [&](const AnsweredByRun& own, const std::vector<AnsweredProblem>& others) {
    ProblemFigures result = basic_figures(own);
    if (!teacher.empty()) add_flips(result, own, others);
    return result;
  };
  for (const auto& family : by_family(runs.front())) {
    const std::string& name = family.front()->family;
    results.families.push_back({name, figures(of_family(runs, name), of_family(teacher, name))});
  }
  if (results.measured()) results.mean = figures(runs, teacher);
  return results;
}

void recover(ProblemResults& results, const AnsweredByRun& student, const std::vector<AnsweredProblem>& ptq,
             const std::vector<AnsweredProblem>& teacher) {
  expect_same_problems(student, ptq);
  expect_same_problems(student, teacher);
  const Values of_student = exact_match_of(student), of_ptq = exact_match_of({ptq}),
               of_teacher = exact_match_of({teacher});
  for (std::size_t f = 0; f < results.families.size(); ++f)
    add_recovered(results.families[f].figures, {of_student[f]}, {of_ptq[f]}, {of_teacher[f]});
  add_recovered(results.mean, of_student, of_ptq, of_teacher);
}

}  // namespace qad
