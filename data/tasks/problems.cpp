#include "data/tasks/problems.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "data/files/hash.h"
#include "data/files/utf8.h"
#include "data/tasks/problem_writer.h"
#include "data/tasks/synthetic.h"

namespace qad {
namespace {

using problems::Work;

constexpr std::uint64_t kNumbersAProblem = 1 << 12;  // far more than any problem draws
constexpr std::size_t kLongestQuestion = 90, kLongestSolution = 79;

// One question of 16 is for validation and one for tests.
ProblemSplit split_of(std::string_view question) {
  const std::uint64_t part = hash64(question) % 16;
  return part == 0 ? ProblemSplit::validation : part == 1 ? ProblemSplit::test : ProblemSplit::train;
}

Random random_at(std::string_view use, std::uint64_t seed, std::int64_t index) {
  return Random(seed, stream_of(use), static_cast<std::uint64_t>(index) * kNumbersAProblem);
}

// `slip`: which step is written down wrong; negative: none.
Work work_out(ProblemFamily family, ProblemSplit split, std::uint64_t seed, std::int64_t index, int slip) {
  synthetic::Writer writer(random_at(enum_name(family), seed, index));
  for (;;) {
    Work work(slip);
    problems::write(family, writer, work);
    if (split_of(work.question) == split && work.question.size() <= kLongestQuestion &&
        work.solution().size() <= kLongestSolution)
      return work;
  }
}

std::string plain_text(const Work& work) {
  return work.question + "\n" + (work.steps.empty() ? "" : work.steps.substr(1) + "\n") + "= " + work.answer;
}

}  // namespace

std::vector<ProblemFamily> families_or_all(std::vector<ProblemFamily> named) {
  if (named.empty())
    for (const auto& entry : enum_names(ProblemFamily())) named.push_back(entry.value);
  return named;
}

WorkedProblem make_problem(ProblemFamily family, ProblemSplit split, std::uint64_t seed, std::int64_t index) {
  const Work work = work_out(family, split, seed, index, Work::kNoSlip);
  return {family, work.prompt(), work.solution(), work.answer};
}

std::string_view final_answer(std::string_view text) {
  const std::size_t mark = text.rfind('#');
  if (mark == std::string_view::npos) return {};
  text.remove_prefix(mark + 1);
  text.remove_prefix(leading_white_space(text));
  text.remove_suffix(trailing_white_space(text));
  return text;
}

bool is_right(const WorkedProblem& problem, std::string_view continuation) {
  return final_answer(continuation) == problem.answer;
}

std::vector<WorkedProblem> problems_of(const ProblemsConfig& config) {
  const std::vector<ProblemFamily> families = families_or_all(config.families);
  std::vector<WorkedProblem> problems;
  for (std::int64_t index = config.first; index < config.first + config.documents; ++index)
    problems.push_back(make_problem(families[static_cast<std::size_t>(index) % families.size()], config.split,
                                    static_cast<std::uint64_t>(config.seed), index));
  return problems;
}

std::vector<ProblemText> problem_texts(const ProblemsConfig& config) {
  const std::vector<ProblemFamily> families = families_or_all(config.families);
  const auto seed = static_cast<std::uint64_t>(config.seed);
  std::vector<ProblemText> texts;
  texts.reserve(static_cast<std::size_t>(config.documents));
  for (std::int64_t index = config.first; index < config.first + config.documents; ++index) {
    Random style = random_at("problem text", seed, index);
    if (style.uniform() < config.stories) {
      texts.push_back({synthetic_document(SyntheticMix::all, seed, index), ""});
      continue;
    }
    const ProblemFamily family = families[static_cast<std::size_t>(index) % families.size()];
    const bool worked = style.uniform() < config.steps;
    const bool wrong = style.uniform() < config.mistakes;
    const Work work = work_out(family, config.split, seed, index,
                               wrong ? static_cast<int>(style.below(problems::kMostSteps)) : Work::kNoSlip);
    const std::string solution = worked ? work.solution() : work.answer_alone();
    switch (config.form) {
      case ProblemForm::question: texts.push_back({solution, work.prompt()}); break;
      case ProblemForm::transcript: texts.push_back({work.prompt() + solution, ""}); break;
      case ProblemForm::plain: texts.push_back({plain_text(work), ""}); break;
    }
  }
  return texts;
}

}  // namespace qad
