#include "autograd/optim/adamw.h"

#include <cmath>

#include "autograd/base/error.h"
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

namespace {

std::vector<AdamWOptions> usual_options(const AdamWConfig& config, const ParameterList& parameters) {
  std::vector<AdamWOptions> options;
  for (const ParameterPointer& parameter : parameters)
    options.push_back({.weight_decay = parameter->decays() ? config.weight_decay : 0.0});
  return options;
}

}  // namespace

AdamW::AdamW(const AdamWConfig& config, ParameterList parameters)
    : AdamW(config, parameters, usual_options(config, parameters)) {}

AdamW::AdamW(const AdamWConfig& config, ParameterList parameters, std::vector<AdamWOptions> options)
    : config_(config), parameters_(std::move(parameters)), options_(std::move(options)) {
  QAD_ASSERT(options_.size() == parameters_.size());
  states_.reserve(parameters_.size());
  for (const ParameterPointer& parameter : parameters_)
    states_.push_back({Tensor::zeros(parameter->value().shape()), Tensor::zeros(parameter->value().shape())});
}

void AdamW::clear_waiting() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (updates_ < options_[i].waits) static_cast<void>(parameters_[i]->variable.sink()->take());
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++updates_;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    const Tensor gradient = parameter.variable.sink()->take();
    if (!gradient.defined()) continue;
    const AdamWOptions& own = options_[i];
    if (updates_ <= own.waits) continue;
    const auto correction = [&](double beta) {
      return static_cast<float>(1.0 - std::pow(beta, static_cast<double>(updates_ - own.waits)));
    };
    const double rate = learning_rate * own.lr_factor;
    const kernels::AdamWUpdate update{static_cast<float>(rate),
                                      static_cast<float>(config_.beta1),
                                      static_cast<float>(config_.beta2),
                                      static_cast<float>(config_.epsilon),
                                      static_cast<float>(own.weight_decay),
                                      correction(config_.beta1),
                                      correction(config_.beta2),
                                      static_cast<float>(gradient_scale)};
    const auto move = [&] {
      kernel_table(gradient.device())
          .adamw(gradient.size(), update, gradient.data(), parameter.value().data(), states_[i].first.data(),
                 states_[i].second.data());
      parameter.changed();
    };
    if (around_move_) around_move_(parameter, rate, move);
    else move();
  }
}

}  // namespace qad
