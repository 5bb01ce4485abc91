#include "qad/train/problem_prompts.h"

namespace qad {

ProblemPrompts::ProblemPrompts(const GrpoConfig& config, const Tokenizer& tokenizer)
    : config_(config), tokenizer_(tokenizer) {
  config_.families = families_or_all(config.families);
}

WorkedProblem ProblemPrompts::problem(std::int64_t index) const {
  const std::int64_t at = config_.first + index;
  const ProblemFamily family = config_.families[static_cast<std::size_t>(at) % config_.families.size()];
  return make_problem(family, ProblemSplit::train, static_cast<std::uint64_t>(config_.seed), at);
}

std::vector<std::int32_t> ProblemPrompts::prompt(std::int64_t index) const {
  return prompt_ids(tokenizer_, problem(index).prompt);
}

Reward ProblemPrompts::reward(std::int64_t index, std::span<const std::int32_t> answer, bool cut) const {
  if (cut) return {config_.reward_cut, false};
  const bool right = is_right(problem(index), tokenizer_.decode(answer));
  return {right ? 1.0 : config_.reward_wrong, right};
}

}  // namespace qad
