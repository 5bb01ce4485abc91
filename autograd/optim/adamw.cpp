#include "autograd/optim/adamw.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/mapped_pages.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/base/scratch_file.h"
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

std::size_t bytes_of(std::int64_t values, DType type) { return static_cast<std::size_t>(values) * bytes_of(type); }

std::vector<AdamWOptions> usual_options(const AdamWConfig& config, const ParameterList& parameters) {
  std::vector<AdamWOptions> options;
  for (const ParameterPointer& parameter : parameters)
    options.push_back({.weight_decay = parameter->decays() ? config.weight_decay : 0.0});
  return options;
}

}  // namespace

AdamW::AdamW(const AdamWConfig& config, ParameterList parameters)
    : AdamW(config, parameters, usual_options(config, parameters)) {}

AdamW::AdamW(const AdamWConfig& config, ParameterList parameters, std::vector<AdamWOptions> options, std::uint64_t seed,
             const std::filesystem::path& folder)
    : config_(config),
      parameters_(std::move(parameters)),
      options_(std::move(options)),
      seed_(seed),
      slices_(slices_of(parameters_, ranks().rank(), ranks().size())) {
  QAD_ASSERT(options_.size() == parameters_.size());
  make_states(folder);
}

void AdamW::make_states(const std::filesystem::path& folder) {
  std::vector<Shape> shapes;
  std::size_t bytes = 0;
  constexpr std::size_t kPage = 4096;  // moments begin with one, so that memory can be let go of parameter by parameter
  const auto room_of = [&](const Shape& shape) {
    return (bytes_of(shape.size(), moments_type()) + kPage - 1) / kPage * kPage;
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    shapes.push_back(ranks().is_alone() ? parameters_[i]->value().shape() : Shape{slices_[i].size()});
    bytes += 2 * room_of(shapes.back());
  }
  if (config_.moments_in == MomentsIn::memory || loops_are_dry()) {
    for (const Shape& shape : shapes)
      states_.push_back({Tensor::zeros(shape, moments_type()), Tensor::zeros(shape, moments_type())});
    return;
  }
  const auto file = std::make_shared<ScratchFile>(folder, bytes, "AdamW's moments (train.adamw.moments_in: file)");
  std::size_t begin = 0;
  const auto next = [&](const Shape& shape) {
    const auto values =
        file->bytes().subspan(std::exchange(begin, begin + room_of(shape)), bytes_of(shape.size(), moments_type()));
    return Tensor::borrow(values, file, shape, moments_type());
  };
  for (const Shape& shape : shapes) {
    const Tensor first = next(shape);
    states_.push_back({first, next(shape)});
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
        if (own->size() > 0) out.push_back({0, own->raw(), own->bytes()});
      continue;
    }
    const Tensor& value = parameters_[i]->value();
    whole.push_back({Tensor(value.shape(), moments_type()), Tensor(value.shape(), moments_type())});
    for (int rank = 0; rank < all.size(); ++rank) {
      const Slice slice = slice_of(value.size(), i, rank, all.size());
      if (slice.size() == 0) continue;
      for (const auto& [target, own] :
           {std::pair(&whole[i].first, &states_[i].first), {&whole[i].second, &states_[i].second}}) {
        std::byte* const values = target->raw() + bytes_of(slice.begin, moments_type());
        const std::size_t bytes = bytes_of(slice.size(), moments_type());
        if (rank == 0) std::memcpy(values, own->raw(), bytes);
        else in.push_back({rank, values, bytes});
      }
    }
  }
  all.exchange(std::move(out), std::move(in), "the optimizer's moments for a checkpoint");
  return whole;
}

void AdamW::set_state(std::size_t parameter, const State& whole) {
  const State& own = states_[parameter];
  const std::size_t begin = bytes_of(slices_[parameter].begin, moments_type());
  for (const auto& [target, values] : {std::pair(&own.first, &whole.first), {&own.second, &whole.second}}) {
    QAD_ASSERT(values->dtype() == moments_type());
    std::memcpy(target->raw(), values->raw() + begin, target->bytes());
    forget_pages({target->raw(), target->bytes()});
  }
}

void AdamW::clear_waiting() {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (updates_ < options_[i].waits) static_cast<void>(parameters_[i]->variable.sink()->take());
}

// A parameter, an update and a place in the parameter each have chances of their own, whoever owns the place.
void AdamW::move_values(std::size_t parameter, const kernels::AdamWUpdate& update, const Tensor& gradient) {
  const KernelTable& kernels = kernel_table(gradient.device());
  const State& state = states_[parameter];
  const std::int64_t begin = slices_[parameter].begin;
  float* const values = parameters_[parameter]->value().data() + begin;
  if (moments_type() == DType::f32) {
    kernels.adamw(gradient.size(), update, gradient.data(), values, state.first.data(), state.second.data());
  } else {
    const std::uint64_t key =
        random_bits(seed_, stream_of("rounding of moments") + parameter, static_cast<std::uint64_t>(updates_));
    kernels.adamw_bf16(gradient.size(), update, {key, begin}, gradient.data(), values,
                       state.first.data<std::uint16_t>(), state.second.data<std::uint16_t>());
  }
  if (config_.moments_in == MomentsIn::memory) return;
  for (const Tensor* moment : {&state.first, &state.second}) forget_pages({moment->raw(), moment->bytes()});
}

void AdamW::step(double learning_rate, double gradient_scale, const std::vector<Tensor>& gradients) {
  QAD_ASSERT(gradients.size() == parameters_.size());
  ++updates_;
  std::vector<Tensor> moved(parameters_.size()), only(parameters_.size());
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
      move_values(i, update, gradient);
      if (around_move_) {  // which looks at all of the values
        only[i] = parameter.value();
        gather_slices(parameters_, only, "a parameter");
        only[i] = Tensor();
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
