#include "qad/train/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qad {
namespace {

constexpr double kBeyond = 1.5;

}  // namespace

DivergenceRule::DivergenceRule(const LossConfig& loss, std::int64_t vocabulary)
    : loss_is_in_nats_((loss.kind == LossKind::kl && loss.temperature == 1.0 && loss.hidden_weight == 0) ||
                       loss.kind == LossKind::cross_entropy),
      guessing_(std::log(static_cast<double>(vocabulary))) {}

double DivergenceRule::limit(double before) const {
  return kBeyond * (std::isfinite(before) ? std::max(guessing_, before) : guessing_);
}

std::string DivergenceRule::at_evaluation(double score, double before) const {
  if (!std::isfinite(score) || score <= limit(before)) return "";
  return fmt::format("held out, {:.4g} nats a token, where guessing has {:.3g}", score, guessing_);
}

bool DivergenceRule::is_beyond(double training_loss, double before) const {
  return loss_is_in_nats_ && training_loss > limit(before);
}

std::string DivergenceRule::after_steps(double training_loss, double before) const {
  return fmt::format("a loss above {:.3g} in {} steps in a row, {:.4g} in the last, where guessing has {:.3g}",
                     limit(before), kStepsInARow, training_loss, guessing_);
}

}  // namespace qad
