#include "autograd/optim/adamw.h"

#include <cmath>
#include <cstring>
#include <utility>

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

std::vector<Tensor> take_gradients(const ParameterList& parameters) {
  std::vector<Tensor> gradients;
  for (const ParameterPointer& parameter : parameters) gradients.push_back(parameter->variable.sink()->take());
  return gradients;
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
    : config_(config),
      parameters_(std::move(parameters)),
      options_(std::move(options)),
      slices_(slices_of(parameters_, ranks().rank(), ranks().size())) {
  QAD_ASSERT(options_.size() == parameters_.size());
  states_.reserve(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Shape shape = ranks().is_alone() ? parameters_[i]->value().shape() : Shape{slices_[i].size()};
    states_.push_back({Tensor::zeros(shape), Tensor::zeros(shape)});
  }
}

std::vector<AdamW::State> AdamW::whole_states() const {
  Communicator& all = ranks();
  if (all.is_alone()) return states_;
  std::vector<State> whole;
  std::vector<OutMessage> out;
  std::vector<InMessage> in;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (!all.is_first()) {
      for (const Tensor* own : {&states_[i].first, &states_[i].second})
        if (own->size() > 0) out.push_back({0, own->data(), own->bytes()});
      continue;
    }
    const Tensor& value = parameters_[i]->value();
    whole.push_back({Tensor(value.shape()), Tensor(value.shape())});
    for (int rank = 0; rank < all.size(); ++rank) {
      const Slice slice = slice_of(value.size(), i, rank, all.size());
      if (slice.size() == 0) continue;
      for (const auto& [target, own] :
           {std::pair(&whole[i].first, &states_[i].first), {&whole[i].second, &states_[i].second}}) {
        float* const values = target->data() + slice.begin;
        const auto bytes = static_cast<std::size_t>(slice.size()) * sizeof(float);
        if (rank == 0) std::memcpy(values, own->data(), bytes);
        else in.push_back({rank, values, bytes});
      }
    }
  }
  all.exchange(std::move(out), std::move(in), "the optimizer's moments for a checkpoint");
  return whole;
}

void AdamW::set_state(std::size_t parameter, const State& whole) {
  const State& own = states_[parameter];
  const std::int64_t begin = slices_[parameter].begin;
  std::memcpy(own.first.data(), whole.first.data() + begin, own.first.bytes());
  std::memcpy(own.second.data(), whole.second.data() + begin, own.second.bytes());
}

void AdamW::clear_waiting() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (updates_ < options_[i].waits) static_cast<void>(parameters_[i]->variable.sink()->take());
}

void AdamW::step(double learning_rate, double gradient_scale, const std::vector<Tensor>& gradients) {
  QAD_ASSERT(gradients.size() == parameters_.size());
  ++updates_;
  std::vector<Tensor> moved(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    const Tensor& gradient = gradients[i];
    if (!gradient.defined()) continue;
    const AdamWOptions& own = options_[i];
    if (updates_ <= own.waits) continue;
    QAD_ASSERT(gradient.size() == states_[i].first.size());
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
          .adamw(gradient.size(), update, gradient.data(), parameter.value().data() + slices_[i].begin,
                 states_[i].first.data(), states_[i].second.data());
      if (around_move_) {  // which looks at all of the values
        std::vector<Tensor> only(parameters_.size());
        only[i] = parameter.value();
        gather_slices(parameters_, only, "a parameter");
      }
      parameter.changed();
    };
    if (around_move_) {
      around_move_(parameter, rate, move);
      continue;
    }
    move();
    moved[i] = parameter.value();
  }
  gather_slices(parameters_, moved, "parameters");
}

}  // namespace qad
