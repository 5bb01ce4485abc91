#include "qad/train/routers.h"

#include <algorithm>
#include <numeric>

#include "autograd/ranks/communicator.h"

namespace qad {

void freeze_routers(LanguageModel& model) {
  for (const ParameterPointer& parameter : model.parameters())
    if (parameter->role == Role::router) parameter->variable = Variable(parameter->value());
}

RouterBalance::RouterBalance(LanguageModel& student, double rate) : rate_(rate) {
  bool any = false;
  for (const RoutedExperts* layer : expert_layers(student)) {
    const bool moves = layer->choice_bias != nullptr && layer->choice_bias->trained();
    any = any || moves;
    layers_.push_back(
        {moves ? layer->choice_bias : nullptr, std::vector<std::int64_t>(static_cast<std::size_t>(layer->experts))});
  }
  if (rate == 0 || !any) return;
  listener_ = std::make_unique<RoutingListener>(student, [this](std::size_t layer, const Routing& routing) {
    if (!recording()) return;  // an evaluation, or the first forward of a block that is computed again
    for (const std::int32_t expert : *routing.experts) ++layers_[layer].load[static_cast<std::size_t>(expert)];
  });
}

RouterBalance::~RouterBalance() = default;

void RouterBalance::end_step(bool updated) {
  if (listener_ == nullptr) return;
  for (auto& [bias, load] : layers_) {
    sum_over_ranks(load, "tokens of experts");
    const std::int64_t sum = std::accumulate(load.begin(), load.end(), std::int64_t{0});
    if (updated && bias != nullptr) {
      for (std::size_t e = 0; e < load.size(); ++e) {
        const std::int64_t times_experts = load[e] * std::ssize(load);  // whole numbers: equal is equal
        const int sign = (times_experts < sum ? 1 : 0) - (times_experts > sum ? 1 : 0);
        bias->value().data()[e] += static_cast<float>(rate_ * sign);
      }
      bias->changed();
    }
    std::ranges::fill(load, 0);
  }
}

}  // namespace qad
