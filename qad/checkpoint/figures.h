// What is measured of a run: of its steps and of its student. Checkpoints, metrics.jsonl and summary.json have them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace qad {

/// Held-out quality. Nats a token; means over all valid tokens, standard errors over documents.
/// NaN is "not measured": a model without a teacher has no KL.
struct EvalFigures {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double kl_mean = kNone;  ///< KL(teacher ‖ student)
  double kl_mean_stderr = kNone;
  double kl_p99 = kNone;  ///< 99th percentile over tokens
  double kl_p99_stderr = kNone;
  double cross_entropy = kNone;
  double cross_entropy_stderr = kNone;
  double perplexity = kNone;
  double perplexity_stderr = kNone;
  double top1_agreement = kNone;  ///< fraction of positions where teacher and student have the same likeliest token
  double top1_stderr = kNone;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;

  [[nodiscard]] bool measured() const { return !std::isnan(kl_mean) || !std::isnan(cross_entropy); }
};

/// Calls visit(name, number) for each, by the names that metrics.jsonl, summary.json and checkpoints have for them.
template <class Figures, class Visit>
void visit_figures(Figures& figures, Visit&& visit) {
  visit("kl_mean", figures.kl_mean);
  visit("kl_mean_stderr", figures.kl_mean_stderr);
  visit("kl_p99", figures.kl_p99);
  visit("kl_p99_stderr", figures.kl_p99_stderr);
  visit("cross_entropy", figures.cross_entropy);
  visit("cross_entropy_stderr", figures.cross_entropy_stderr);
  visit("perplexity", figures.perplexity);
  visit("perplexity_stderr", figures.perplexity_stderr);
  visit("top1_agreement", figures.top1_agreement);
  visit("top1_stderr", figures.top1_stderr);
  visit("documents", figures.documents);
  visit("tokens", figures.tokens);
}

/// What a step of reinforcement learning saw of the answers that the model wrote in it.
struct RolloutFigures {
  static constexpr double kNone = EvalFigures::kNone;
  double reward = kNone;        ///< mean over answers
  double right = kNone;         ///< share of answers
  double length = kNone;        ///< mean tokens of an answer, its end token included
  double cut = kNone;           ///< share of answers that reached the limit
  double learned_from = kNone;  ///< share of prompts whose answers differ in reward
  double kl = kNone;            ///< to the model that the run started from, nats a token, over answers learned from
};

/// As visit_figures.
template <class Figures, class Visit>
void visit_rollout(Figures& figures, Visit&& visit) {
  visit("reward", figures.reward);
  visit("right", figures.right);
  visit("length", figures.length);
  visit("cut", figures.cut);
  visit("learned_from", figures.learned_from);
  visit("kl", figures.kl);
}

/// What a training step was.
struct StepDone {
  std::int64_t step = 0;    ///< 1-based: optimizer steps done
  std::int64_t tokens = 0;  ///< valid tokens trained on so far, this step's included
  double loss = 0.0;
  double lr = 0.0;
  double grad_norm = 0.0;  ///< before clipping
  double tokens_per_second = 0.0;
  std::int64_t saturated_weights = 0;  ///< values beyond what their quantizer can hold, in this step's forwards
  std::int64_t saturated_activations = 0;
  bool skipped = false;       ///< loss or gradient was not finite: nothing was updated
  bool eval_follows = false;  ///< eval_done of this step comes next
  std::optional<RolloutFigures> rollout{};
};

}  // namespace qad
