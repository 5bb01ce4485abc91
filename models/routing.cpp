#include "models/routing.h"

namespace qad {

std::vector<RoutedExperts*> expert_layers(LanguageModel& model) {
  struct Collector final : ModuleVisitor {
    void experts(RoutedExperts& experts) override { found.push_back(&experts); }
    std::vector<RoutedExperts*> found;
  } collector;
  model.visit(collector);
  return collector.found;
}

RoutingListener::RoutingListener(LanguageModel& model, const Heard& heard) {
  for (RoutedExperts* layer : expert_layers(model)) {
    const auto index = before_.size();
    before_.emplace_back(layer, std::exchange(layer->listener, [heard, index](const Routing& r) { heard(index, r); }));
  }
}

RoutingListener::~RoutingListener() {
  for (auto& [layer, listener] : before_) layer->listener = std::move(listener);
}

}  // namespace qad
