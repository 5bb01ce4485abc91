// What layers of experts tell of their choices, to whoever listens for a while: figures, the balance of load.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/nn/parameter.h"
#include "autograd/ops/experts.h"
#include "models/language_model.h"

namespace qad {

/// A layer of experts as visitors see it.
struct RoutedExperts {
  std::string name;  ///< module: model.layers.0.mlp
  std::int64_t experts = 0;
  std::int64_t experts_per_token = 0;
  ParameterPointer choice_bias;                    ///< [experts], or null
  std::function<void(const Routing&)> listener{};  ///< is told of every forward; may be empty
};

/// In the order of the model.
[[nodiscard]] std::vector<RoutedExperts*> expert_layers(LanguageModel& model);

/// As long as it lives, hears what each layer of experts chooses, in place of who heard it before.
class RoutingListener {
 public:
  /// `layer` counts in the order of expert_layers.
  using Heard = std::function<void(std::size_t layer, const Routing& routing)>;
  RoutingListener(LanguageModel& model, const Heard& heard);
  ~RoutingListener();
  RoutingListener(const RoutingListener&) = delete;
  RoutingListener& operator=(const RoutingListener&) = delete;

 private:
  std::vector<std::pair<RoutedExperts*, std::function<void(const Routing&)>>> before_;
};

}  // namespace qad
