// Problems whose answers a program can check, in four families: what a reasoning teacher learns, by examples and by
// reinforcement, and what students are measured by. Each comes with its question, worked steps and the answer:
//
//     Q: 384*7
//     A: 4*7=28 8*7+2=58 3*7+5=26 #2688
//
// ASCII, for a byte tokenizer; a question is at most 95 bytes and a solution at most 79. A problem is a pure function
// of (family, split, seed, index) on every platform. A question belongs to one split, by a hash of its text, so that no
// question to be answered has been trained on, whatever the indices.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/fields.h"

namespace qad {

enum class ProblemFamily : std::uint8_t { arithmetic, word_problems, symbols, programs };
inline constexpr auto enum_names(ProblemFamily) {
  return std::to_array<EnumName<ProblemFamily>>({{ProblemFamily::arithmetic, "arithmetic"},
                                                 {ProblemFamily::word_problems, "word_problems"},
                                                 {ProblemFamily::symbols, "symbols"},
                                                 {ProblemFamily::programs, "programs"}});
}

/// The families that a recipe names; none named means all.
[[nodiscard]] std::vector<ProblemFamily> families_or_all(std::vector<ProblemFamily> named);

enum class ProblemSplit : std::uint8_t { train, validation, test };
inline constexpr auto enum_names(ProblemSplit) {
  return std::to_array<EnumName<ProblemSplit>>(
      {{ProblemSplit::train, "train"}, {ProblemSplit::validation, "validation"}, {ProblemSplit::test, "test"}});
}

struct WorkedProblem {
  ProblemFamily family;
  std::string prompt;    ///< "Q: 384*7\nA:"
  std::string solution;  ///< what should follow: " 4*7=28 8*7+2=58 3*7+5=26 #2688"
  std::string answer;    ///< "2688"
};

/// The problem with its right solution.
[[nodiscard]] WorkedProblem make_problem(ProblemFamily family, ProblemSplit split, std::uint64_t seed,
                                         std::int64_t index);

/// What follows the last '#', without white space around it; empty where there is no '#'.
[[nodiscard]] std::string_view final_answer(std::string_view text);

/// Whether a continuation of the prompt ends in the right answer. Steps are nobody's business.
[[nodiscard]] bool is_right(const WorkedProblem& problem, std::string_view continuation);

enum class ProblemForm : std::uint8_t { question, transcript, plain };
inline constexpr auto enum_names(ProblemForm) {
  return std::to_array<EnumName<ProblemForm>>(
      {{ProblemForm::question, "question"}, {ProblemForm::transcript, "transcript"}, {ProblemForm::plain, "plain"}});
}

/// Problems as text to learn from: the recipe's `problems` source.
struct ProblemsConfig {
  std::int64_t documents = 10'000;
  std::int64_t first = 0;
  std::int64_t seed = 1;
  ProblemSplit split = ProblemSplit::train;
  std::vector<ProblemFamily> families{};
  ProblemForm form = ProblemForm::question;
  double steps = 1.0;
  double mistakes = 0.0;
  double stories = 0.0;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"documents", "how many problems"}.at_least(1), documents);
    visit(Field{"first", "index of the first one"}.at_least(0), first);
    visit(Field{"seed", "of all that is drawn"}.at_least(0), seed);
    visit(Field{"split", "train, validation or test: they share no question"}, split);
    visit(Field{"families", "arithmetic, word_problems, symbols, programs, in turn; empty: all"}, families);
    visit(Field{"form",
                "question: Q and A, the question gets no labels; transcript: the same, all of it labels; plain: as "
                "running text"},
          form);
    visit(Field{"steps", "share of solutions that are worked out; the others give the answer alone"}.between(0, 1),
          steps);
    visit(Field{"mistakes", "share of solutions with a slip in them and so, most often, a wrong answer"}.between(0, 1),
          mistakes);
    visit(Field{"stories", "share of documents that are made-up stories and tasks instead"}.between(0, 1), stories);
  }
};

/// Problems `first` … `first + documents - 1`, over the families in turn.
[[nodiscard]] std::vector<WorkedProblem> problems_of(const ProblemsConfig& config);

/// A document before any tokenizer; its prompt goes before the text and gets no labels.
struct ProblemText {
  std::string text, prompt;
};
/// Documents `first` … `first + documents - 1`, over the families in turn. Plain ones and stories have no prompt.
[[nodiscard]] std::vector<ProblemText> problem_texts(const ProblemsConfig& config);

}  // namespace qad
