#include "autograd/optim/adamw.h"

#include <cmath>

#include "autograd/kernels/table.h"

namespace qad {

double gradient_norm(const ParameterList& parameters) {
  double sum = 0;
  for (const ParameterPointer& parameter : parameters) {
    const Tensor& gradient = parameter->variable.sink()->gradient();
    if (gradient.defined()) sum += kernel_table(gradient.device()).sum_of_squares(gradient.size(), gradient.data());
  }
  return std::sqrt(sum);
}

void clear_gradients(const ParameterList& parameters) {
  for (const ParameterPointer& parameter : parameters) static_cast<void>(parameter->variable.sink()->take());
}

AdamW::AdamW(const AdamWConfig& config, ParameterList parameters)
    : config_(config), parameters_(std::move(parameters)) {
  states_.reserve(parameters_.size());
  for (const ParameterPointer& parameter : parameters_)
    states_.push_back({Tensor::zeros(parameter->value().shape()), Tensor::zeros(parameter->value().shape())});
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++updates_;
  const auto correction = [&](double beta) {
    return static_cast<float>(1.0 - std::pow(beta, static_cast<double>(updates_)));
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    const Tensor gradient = parameter.variable.sink()->take();
    if (!gradient.defined()) continue;
    const double decay = parameter.decays() ? config_.weight_decay : 0.0;
    const kernels::AdamWUpdate update{static_cast<float>(learning_rate), static_cast<float>(config_.beta1),
                                      static_cast<float>(config_.beta2), static_cast<float>(config_.epsilon),
                                      static_cast<float>(decay),         correction(config_.beta1),
                                      correction(config_.beta2),         static_cast<float>(gradient_scale)};
    kernel_table(gradient.device())
        .adamw(gradient.size(), update, gradient.data(), parameter.value().data(), states_[i].first.data(),
               states_[i].second.data());
    parameter.changed();
  }
}

}  // namespace qad
