// What is measured of a run: of its steps and of its student. Checkpoints, metrics.jsonl and summary.json have them, by
// the names that each lists (autograd/base/result_fields.h).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/result_fields.h"

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
  /// Of a model with experts: share of a token's choices that are also its teacher's, mean over layers, and the layer
  /// where it is lowest.
  double router_agreement = kNone;
  double router_agreement_stderr = kNone;
  double router_agreement_worst = kNone;
  double router_agreement_worst_stderr = kNone;
  double busiest_expert = kNone;  ///< its share of its layer's choices, the highest of all layers
  double idlest_expert = kNone;   ///< and the lowest
  std::int64_t documents = 0;
  std::int64_t tokens = 0;

  [[nodiscard]] bool measured() const { return !std::isnan(kl_mean) || !std::isnan(cross_entropy); }

  static void visit_fields(auto& self, auto&& visit) {
    visit("kl_mean", self.kl_mean);
    visit("kl_mean_stderr", self.kl_mean_stderr);
    visit("kl_p99", self.kl_p99);
    visit("kl_p99_stderr", self.kl_p99_stderr);
    visit("cross_entropy", self.cross_entropy);
    visit("cross_entropy_stderr", self.cross_entropy_stderr);
    visit("perplexity", self.perplexity);
    visit("perplexity_stderr", self.perplexity_stderr);
    visit("top1_agreement", self.top1_agreement);
    visit("top1_stderr", self.top1_stderr);
    visit("router_agreement", self.router_agreement);
    visit("router_agreement_stderr", self.router_agreement_stderr);
    visit("router_agreement_worst", self.router_agreement_worst);
    visit("router_agreement_worst_stderr", self.router_agreement_worst_stderr);
    visit("busiest_expert", self.busiest_expert);
    visit("idlest_expert", self.idlest_expert);
    visit("documents", self.documents);
    visit("tokens", self.tokens);
  }
};

/// What one layer of experts did with held-out text.
struct LayerRouting {
  std::string layer;                      ///< module: model.layers.0.mlp
  std::vector<std::int64_t> tokens;       ///< that went to each expert
  double agreement = EvalFigures::kNone;  ///< share of a token's choices that are also its teacher's
  double agreement_stderr = EvalFigures::kNone;
};

/// What a step of reinforcement learning saw of the answers that the model wrote in it.
struct RolloutFigures {
  static constexpr double kNone = EvalFigures::kNone;
  double reward = kNone;        ///< mean over answers
  double right = kNone;         ///< share of answers
  double length = kNone;        ///< mean tokens of an answer, its end token included
  double cut = kNone;           ///< share of answers that reached the limit
  double learned_from = kNone;  ///< share of prompts whose answers differ in reward
  double kl = kNone;            ///< to the model that the run started from, nats a token, over answers learned from

  static void visit_fields(auto& self, auto&& visit) {
    visit("reward", self.reward);
    visit("right", self.right);
    visit("length", self.length);
    visit("cut", self.cut);
    visit("learned_from", self.learned_from);
    visit("kl", self.kl);
  }
};

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

  static void visit_fields(auto& self, auto&& visit) {
    visit("step", self.step);
    visit("tokens", self.tokens);
    visit("loss", self.loss);
    visit("lr", self.lr);
    visit("grad_norm", self.grad_norm);
    visit("tokens_per_second", self.tokens_per_second);
    visit("saturated_weights", self.saturated_weights);
    visit("saturated_activations", self.saturated_activations);
    visit("skipped", self.skipped);
    visit("eval_follows", self.eval_follows);
    visit("rollout", self.rollout);
  }
};

}  // namespace qad
