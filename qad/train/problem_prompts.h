// Problems as prompts for reinforcement learning: a right answer is worth 1.
#pragma once

#include "data/tasks/problems.h"
#include "data/tokenizer/tokenizer.h"
#include "qad/train/grpo.h"

namespace qad {

class ProblemPrompts final : public RewardedPrompts {
 public:
  /// `tokenizer` must outlive it.
  ProblemPrompts(const GrpoConfig& config, const Tokenizer& tokenizer);

  [[nodiscard]] std::vector<std::int32_t> prompt(std::int64_t index) const override;
  [[nodiscard]] Reward reward(std::int64_t index, std::span<const std::int32_t> answer, bool cut) const override;

 private:
  [[nodiscard]] WorkedProblem problem(std::int64_t index) const;

  GrpoConfig config_;
  const Tokenizer& tokenizer_;
};

}  // namespace qad
