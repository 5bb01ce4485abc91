// How the problems of data/tasks/problems.h are made, family by family. Internal to data.
#pragma once

#include <string>
#include <string_view>

#include "data/tasks/problems.h"
#include "data/tasks/synthetic_writer.h"

namespace qad::problems {

inline constexpr int kMostSteps = 3;  ///< a slip may be in any of the first so many

/// A question and its solution in the making. One step may be told to go wrong; what follows then builds on the wrong
/// result, as people's slips do.
class Work {
 public:
  static constexpr int kNoSlip = -1;
  explicit Work(int slip) : slip_(slip) {}

  /// Adds the step "expression=value" and returns what was written down as its value.
  std::int64_t step(std::string_view expression, std::int64_t value);
  /// Adds a step in words or signs.
  void step(std::string_view text);
  /// Whether the step at hand is the one to get wrong. Asked once a step; step(expression, value) asks by itself.
  [[nodiscard]] bool slips() { return count_++ == slip_; }

  [[nodiscard]] std::string prompt() const { return "Q: " + question + "\nA:"; }
  [[nodiscard]] std::string solution() const { return steps + answer_alone(); }
  [[nodiscard]] std::string answer_alone() const { return " #" + answer; }

  std::string question;
  std::string steps;  ///< each with a space before it
  std::string answer;

 private:
  int slip_;
  int count_ = 0;
};

void write(ProblemFamily family, synthetic::Writer& writer, Work& work);

void arithmetic(synthetic::Writer& writer, Work& work);
void word_problem(synthetic::Writer& writer, Work& work);
void symbols(synthetic::Writer& writer, Work& work);
void program(synthetic::Writer& writer, Work& work);

}  // namespace qad::problems
