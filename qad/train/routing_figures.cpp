#include "qad/train/routing_figures.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "autograd/base/error.h"

namespace qad {
namespace {

std::span<const std::int32_t> of_token(const std::vector<std::int32_t>& experts, std::int64_t k, std::int32_t token) {
  return std::span(experts).subspan(static_cast<std::size_t>(token * k), static_cast<std::size_t>(k));
}

}  // namespace

RoutingFigures::RoutingFigures(LanguageModel& student, LanguageModel* teacher) {
  const std::vector<RoutedExperts*> own = expert_layers(student);
  for (const RoutedExperts* layer : own)
    layers_.push_back({layer->name,
                       layer->experts_per_token,
                       std::vector<std::int64_t>(static_cast<std::size_t>(layer->experts)),
                       {}});
  if (teacher == nullptr) return;
  compares_ = std::ranges::equal(own, expert_layers(*teacher), [](const RoutedExperts* a, const RoutedExperts* b) {
    return a->experts == b->experts && a->experts_per_token == b->experts_per_token;
  });
}

void RoutingFigures::add(const TokenBatch& batch, const Choices& student, const Choices& teacher) {
  if (layers_.empty()) return;
  QAD_ASSERT(student.size() == layers_.size() && (!compares_ || teacher.size() == layers_.size()));
  for (std::size_t s = 0; s < batch.segments.size(); ++s)
    for (std::int32_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
      if (batch.valid[static_cast<std::size_t>(t)] == 0) continue;
      double sum = 0;
      for (std::size_t i = 0; i < layers_.size(); ++i) {
        Layer& layer = layers_[i];
        const std::int64_t k = layer.experts_per_token;
        const auto own = of_token(*student[i], k, t);
        for (const std::int32_t expert : own) ++layer.tokens[static_cast<std::size_t>(expert)];
        if (!compares_) continue;
        const auto theirs = of_token(*teacher[i], k, t);
        const auto both = std::ranges::count_if(
            own, [&](std::int32_t expert) { return std::ranges::find(theirs, expert) != theirs.end(); });
        const double agreement = static_cast<double>(both) / static_cast<double>(k);
        layer.agreement.add(batch.document[s], agreement);
        sum += agreement;
      }
      if (compares_) agreement_.add(batch.document[s], sum / static_cast<double>(layers_.size()));
    }
}

std::vector<LayerRouting> RoutingFigures::layers() const {
  std::vector<LayerRouting> result;
  for (const Layer& layer : layers_)
    result.push_back({layer.name, layer.tokens, layer.agreement.mean(), layer.agreement.standard_error()});
  return result;
}

void RoutingFigures::sum_up(EvalFigures& figures) const {
  for (const Layer& layer : layers_) {
    const auto all = static_cast<double>(std::accumulate(layer.tokens.begin(), layer.tokens.end(), std::int64_t{0}));
    if (all == 0) continue;
    const auto [idlest, busiest] = std::ranges::minmax(layer.tokens);
    figures.busiest_expert = std::fmax(figures.busiest_expert, static_cast<double>(busiest) / all);
    figures.idlest_expert = std::fmin(figures.idlest_expert, static_cast<double>(idlest) / all);
    const double agreement = layer.agreement.mean();
    if (std::isnan(agreement) || agreement >= figures.router_agreement_worst) continue;
    figures.router_agreement_worst = agreement;
    figures.router_agreement_worst_stderr = layer.agreement.standard_error();
  }
  figures.router_agreement = agreement_.mean();
  figures.router_agreement_stderr = agreement_.standard_error();
}

}  // namespace qad
