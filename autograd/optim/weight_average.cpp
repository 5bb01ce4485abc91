#include "autograd/optim/weight_average.h"

#include <utility>

#include "autograd/base/parallel.h"

namespace qad {
namespace {

constexpr std::int64_t kAverageChunk = 1 << 14;

// change(value, average) for each of them.
template <class Change>
void for_each_value(const ParameterList& parameters, const std::vector<Tensor>& averages, Change&& change) {
  for (std::size_t i = 0; i < averages.size(); ++i) {
    float* const values = parameters[i]->value().data();
    float* const of = averages[i].data();
    parallel_for(averages[i].size(), kAverageChunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) change(values[at], of[at]);
    });
  }
}

}  // namespace

WeightAverage::WeightAverage(ParameterList parameters, double decay)
    : parameters_(std::move(parameters)), rest_(static_cast<float>(1.0 - decay)) {
  if (decay == 0) return;
  for (const ParameterPointer& parameter : parameters_) averages_.push_back(Tensor::zeros(parameter->value().shape()));
}

void WeightAverage::start() {
  for_each_value(parameters_, averages_, [](float value, float& average) { average = value; });
}

void WeightAverage::add() {
  for_each_value(parameters_, averages_, [this](float value, float& average) { average += rest_ * (value - average); });
}

void WeightAverage::exchange() {
  for_each_value(parameters_, averages_, [](float& value, float& average) { std::swap(value, average); });
  if (!averages_.empty())
    for (const ParameterPointer& parameter : parameters_) parameter->changed();
}

}  // namespace qad
