#include "qad/recipe/training_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace qad {
namespace {

// The arms of a comparison are checked each.
void check_grid(const Recipe& recipe, const ReportProblem& report) {
  const TrainConfig& train = recipe.train;
  const double strength = train.pull_to_grid.strength;
  const std::int64_t window = train.oscillation_reset.window;
  const bool any = recipe.row().is_comparison || recipe.row().searches ||
                   std::ranges::any_of(recipe.quantize.rules, [](const auto& rule) { return rule.weights != "none"; });
  constexpr const char* kNoGrid = "0 where no rule quantizes weights";
  if (strength > 0 && !any) report("train.pull_to_grid.strength", kNoGrid, fmt::format("{}", strength), "");
  if (window > 0 && !any) report("train.oscillation_reset.window", kNoGrid, fmt::format("{}", window), "");
  if (strength * train.lr > 1)
    report("train.pull_to_grid.strength", fmt::format("at most 1 / train.lr = {}", 1 / train.lr),
           fmt::format("{}", strength), "at that much a weight would go to its rounded value in one step");
  const auto steps = static_cast<double>(train.steps);
  const std::int64_t left = train.steps - static_cast<std::int64_t>(train.oscillation_reset.begins * steps);
  if (train.steps > 0 && window > left)
    report("train.oscillation_reset.window",
           fmt::format("at most the {} steps after train.oscillation_reset.begins", left), fmt::format("{}", window),
           "no window would end");
}

void check_shards(const Recipe& recipe, const ReportProblem& report) {
  const TrainConfig& train = recipe.train;
  const bool reads_text = recipe.row().steps == Steps::text;
  if (!std::has_single_bit(static_cast<std::uint64_t>(train.shards)))
    report("train.shards", "a power of two", fmt::format("{}", train.shards), "shards are summed as a binary tree");
  else if (reads_text && train.batch_size % train.shards != 0)
    report("train.shards", fmt::format("a divisor of train.batch_size = {}", train.batch_size),
           fmt::format("{}", train.shards), "each shard has as many sequences");
  else if (reads_text && train.shards > 1 && train.micro_batch_size > train.batch_size / train.shards)
    report("train.micro_batch_size",
           fmt::format("at most the {} sequences of a shard", train.batch_size / train.shards),
           fmt::format("{}", train.micro_batch_size), "0: all of a shard");
}

void check_prune(const Recipe& recipe, const ReportProblem& report) {
  if (!recipe.prune) {
    if (recipe.kind == RecipeKind::prune)
      report("prune", "a section prune", "none", "kind: prune needs prune: {intermediate_size: 256, …}");
    return;
  }
  if (recipe.row().start != Start::teacher || recipe.row().searches)
    report("prune", fmt::format("no such section for kind: {}", enum_name(recipe.kind)), "one",
           "prune by kind: prune, and name its run or export there");
  if (recipe.loss.hidden_weight > 0 && recipe.prune->hidden_size > 0)
    report("loss.hidden_weight", "0 with prune.hidden_size", fmt::format("{}", recipe.loss.hidden_weight),
           "the teacher's hidden states are wider than the student's");
}

}  // namespace

void check_training(const Recipe& recipe, const ReportProblem& report) {
  const TrainConfig& train = recipe.train;
  const KindRow& row = recipe.row();
  if (train.steps > 0 && train.warmup_steps > train.steps)
    report("train.warmup_steps", fmt::format("at most train.steps = {}", train.steps),
           fmt::format("{}", train.warmup_steps), "");
  if (train.micro_batch_size > train.batch_size)
    report("train.micro_batch_size", fmt::format("at most train.batch_size = {}", train.batch_size),
           fmt::format("{}", train.micro_batch_size), "");
  check_shards(recipe, report);
  check_prune(recipe, report);
  for (std::size_t i = 0; i < train.parameters.size(); ++i) {
    const ParameterRule& rule = train.parameters[i];
    if (rule.frozen && (rule.lr_factor != 1 || rule.weight_decay))
      report(fmt::format("train.parameters[{}]", i), "frozen: true without lr_factor and weight_decay", "one of them",
             "what stays as it is has no rate");
  }
  check_grid(recipe, report);
  if (row.judge == Judge::next_token && recipe.loss.kind != LossKind::cross_entropy)
    report("loss.kind", fmt::format("cross_entropy for kind: {}", enum_name(recipe.kind)),
           std::string(enum_name(recipe.loss.kind)), "or kind: qad");
  if (recipe.loss.hidden_weight > 0 && recipe.loss.kind == LossKind::cross_entropy)
    report("loss.hidden_weight", "0 where loss.kind is cross_entropy", fmt::format("{}", recipe.loss.hidden_weight),
           "nothing else has a teacher whose hidden states there are");
  if (row.best_is_last && train.patience > 0)
    report("train.patience", "0 for kind: grpo", fmt::format("{}", train.patience),
           "held-out cross-entropy does not tell when reinforcement learning is done");
  if (row.judge == Judge::teacher && row.steps == Steps::text && !row.is_comparison &&
      recipe.loss.kind == LossKind::cross_entropy)
    report("loss.kind", fmt::format("a loss against the teacher for kind: {}", enum_name(recipe.kind)), "cross_entropy",
           "or kind: qat");
}

}  // namespace qad
