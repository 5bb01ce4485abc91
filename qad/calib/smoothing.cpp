#include "qad/calib/smoothing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"
#include "qad/calib/seen_inputs.h"
#include "qad/formats/quantize.h"

namespace qad {
namespace {

using kernels::Transpose;

constexpr std::int64_t kChannels = 64;
constexpr double kLeastFactor = 1e-4;

Tensor scaled_columns(const Tensor& x, std::span<const float> factors, bool divide) {
  Tensor result(x.shape());
  const std::int64_t cols = x.cols();
  parallel_for(x.rows(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (std::int64_t k = 0; k < cols; ++k) {
        const float factor = factors[static_cast<std::size_t>(k)], value = x.data()[r * cols + k];
        result.data()[r * cols + k] = divide ? value / factor : value * factor;
      }
  });
  return result;
}

float amax_of(const Tensor& x) { return amax(x.data(), x.size()); }

Tensor rounded(const BlockFormat& format, float amax, const Tensor& x) {
  QuantizedTensor codes = QuantizedTensor::allocate(format, x.rows(), x.cols(),
                                                    tensor_scale_from_amax(format, amax, TensorScaleRound::none));
  Tensor values(x.shape());
  quantize(x.data(), codes, values.data());
  return values;
}

Tensor product(const Tensor& x, const Tensor& w) {
  Tensor y({x.rows(), w.rows()});
  kernel_table(x.device())
      .gemm(Transpose::no, Transpose::yes, x.rows(), w.rows(), x.cols(), x.data(), x.cols(), w.data(), w.cols(), false,
            y.data(), w.rows());
  return y;
}

double squared_distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a.data()[i]) - b.data()[i];
    sum += difference * difference;
  }
  return sum;
}

// Of each column, all rows: the mean magnitude or the largest.
template <class Magnitude>
void column_magnitudes(const Tensor& x, bool largest, std::vector<double>& out, const Magnitude& magnitude) {
  parallel_for(x.cols(), kChannels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = 0; r < x.rows(); ++r)
      for (std::int64_t k = begin; k < end; ++k) {
        double& one = out[static_cast<std::size_t>(k)];
        const double value = magnitude(r, k);
        one = largest ? std::max(one, value) : one + value;
      }
  });
}

// Of all weights: the mean over their rows of a value's share of its block's largest, or the largest magnitude.
std::vector<double> weight_magnitudes(std::span<const Tensor> weights, const BlockFormat& format, bool largest) {
  const std::int64_t cols = weights.front().cols(), block = format.block_size(cols);
  std::vector<double> result(static_cast<std::size_t>(cols));
  double rows = 0;
  for (const Tensor& w : weights) {
    rows += static_cast<double>(w.rows());
    const auto magnitude = [&](std::int64_t r, std::int64_t k) {
      const float* const row = w.data() + r * cols;
      if (largest) return static_cast<double>(std::abs(row[k]));
      float top = 0;
      for (std::int64_t j = k / block * block, end = j + block; j < end; ++j) top = std::max(top, std::abs(row[j]));
      return static_cast<double>(std::abs(row[k])) / (static_cast<double>(top) + 1e-6);
    };
    column_magnitudes(w, largest, result, magnitude);
  }
  if (!largest)
    for (double& one : result) one /= rows;
  return result;
}

std::vector<double> input_magnitudes(const Tensor& x, bool largest) {
  std::vector<double> result(static_cast<std::size_t>(x.cols()));
  column_magnitudes(x, largest, result, [&](std::int64_t r, std::int64_t k) {
    return static_cast<double>(std::abs(x.data()[r * x.cols() + k]));
  });
  if (!largest)
    for (double& one : result) one /= static_cast<double>(x.rows());
  return result;
}

// Why the factors of a group have nowhere to go; empty: they have.
std::string obstacle(const LinearGroup& group, std::span<LinearGroup* const> groups, bool routes) {
  if (group.fed_by == nullptr) return "nothing that feeds it alone";
  const Shape shape = group.fed_by->shape();
  if (shape.rank() != 1 && shape.rows() != group.members.front().in_features()) return "heads share what feeds it";
  if (std::ranges::count(groups, group.fed_by, &LinearGroup::fed_by) > 1) return "others read the same";
  if (shape.rank() == 1 && routes) return "a router may read the same";
  return {};
}

// Divides the feeder's elements or rows, and multiplies the columns of what it feeds. An element of a norm is kept in
// BF16 wherever it is rounded, so its factor becomes what takes it to such a number.
void fold(const LinearGroup& group, const ParameterPointer& feeder_bias, std::vector<float> factors) {
  const ParameterPointer& feeder = group.fed_by;
  const Tensor& fed = feeder->value();
  const std::int64_t width = fed.shape().rank() == 1 ? 1 : fed.cols();
  for (std::size_t k = 0; k < factors.size(); ++k) {
    float* const first = fed.data() + static_cast<std::int64_t>(k) * width;
    if (fed.shape().rank() == 1) {
      const float moved = bf16_to_f32(f32_to_bf16(*first / factors[k]));
      factors[k] = *first != 0 && moved != 0 ? *first / moved : 1.0f;
      *first = *first != 0 && moved != 0 ? moved : *first;
      continue;
    }
    for (std::int64_t i = 0; i < width; ++i) first[i] /= factors[k];
    if (feeder_bias != nullptr) feeder_bias->value().data()[k] /= factors[k];
  }
  feeder->changed();
  if (feeder_bias != nullptr) feeder_bias->changed();
  for (const Linear& member : group.members) {
    member.weight->value().copy_from(scaled_columns(member.weight->value(), factors, false));
    member.weight->changed();
  }
}

ParameterPointer bias_of(const ParameterPointer& weight, std::span<LinearGroup* const> groups) {
  for (const LinearGroup* group : groups)
    for (const Linear& member : group->members)
      if (member.weight == weight) return member.bias;
  return nullptr;
}

Tensor joined_inputs(const LinearGroup& group, const ShowInputs& show_inputs) {
  std::vector<Tensor> parts;
  std::int64_t rows = 0;
  show_inputs([&](std::span<const Linear> readers, const Tensor& x) {
    if (readers.front().weight != group.members.front().weight) return;
    parts.push_back(as_f32(x).clone());
    rows += x.rows();
  });
  Tensor all({rows, group.members.front().in_features()});
  std::int64_t at = 0;
  for (const Tensor& part : parts) {
    all.slice(at, at + part.rows()).copy_from(part);
    at += part.rows();
  }
  return all;
}

}  // namespace

std::vector<float> awq_factors(const ColumnMagnitudes& columns, double strength) {
  std::vector<double> factors(columns.inputs.size());
  for (std::size_t k = 0; k < factors.size(); ++k)
    factors[k] = std::max(kLeastFactor,
                          std::pow(columns.inputs[k], strength) / (std::pow(columns.weights[k], 1 - strength) + 1e-4));
  const auto [least, most] = std::ranges::minmax(factors);
  const double middle = std::sqrt(least * most);
  std::vector<float> result;
  for (const double factor : factors) {
    const auto one = static_cast<float>(factor / middle);
    result.push_back(std::isfinite(one) && one > 0 ? one : 1.0f);
  }
  return result;
}

std::vector<float> smoothquant_factors(const ColumnMagnitudes& columns, double strength) {
  std::vector<float> result;
  for (std::size_t k = 0; k < columns.inputs.size(); ++k) {
    const double factor = std::pow(columns.inputs[k], strength) / std::pow(columns.weights[k], 1 - strength);
    const bool usable = columns.inputs[k] > 0 && columns.weights[k] > 0 && std::isfinite(factor);
    result.push_back(usable ? std::max(static_cast<float>(factor), static_cast<float>(kLeastFactor)) : 1.0f);
  }
  return result;
}

AwqChoice choose_awq(const Tensor& x, std::span<const Tensor> weights, const BlockFormat& format,
                     const BlockFormat* inputs, std::int64_t grid) {
  const ColumnMagnitudes columns{input_magnitudes(x, false), weight_magnitudes(weights, format, false)};
  std::vector<Tensor> wanted;
  for (const Tensor& w : weights) wanted.push_back(product(x, w));
  AwqChoice choice;
  for (std::int64_t i = 0; i < grid; ++i) {
    throw_if_stopped();
    const double strength = static_cast<double>(i - 1) / static_cast<double>(grid - 2);
    const std::vector<float> factors =
        i == 0 ? std::vector<float>(columns.inputs.size(), 1.0f) : awq_factors(columns, strength);
    Tensor read = scaled_columns(x, factors, true);
    if (inputs != nullptr) read = rounded(*inputs, amax_of(read), read);
    std::vector<Tensor> scaled;
    float top = 0;
    for (const Tensor& w : weights) {
      scaled.push_back(scaled_columns(w, factors, false));
      top = std::max(top, amax_of(scaled.back()));
    }
    double error = 0;
    for (std::size_t m = 0; m < weights.size(); ++m)
      error += squared_distance(product(read, rounded(format, top, scaled[m])), wanted[m]);
    if (choice.errors.empty() || error < choice.errors[static_cast<std::size_t>(choice.index)]) {
      choice.index = i;
      choice.factors = factors;
    }
    choice.errors.push_back(error);
  }
  return choice;
}

bool smooth(std::span<LinearGroup* const> groups, const QuantizerSet& quantizers, const ShowInputs& show_inputs,
            const CalibrateConfig& config) {
  std::map<const Parameter*, const LinearQuantizers*> by_weight;
  for (const LinearQuantizers& linear : quantizers.linears())
    if (linear.weights != nullptr) by_weight[linear.weight.get()] = &linear;
  const auto algorithm_of = [&](const Linear& member) {
    const auto found = by_weight.find(member.weight.get());
    return found == by_weight.end() ? CalibrationKind::max : found->second->algorithm;
  };
  const bool routes =
      std::ranges::any_of(groups, [](const LinearGroup* group) { return group->members.front().token_share < 1; });
  std::vector<std::string> left;
  bool any = false;
  for (const LinearGroup* group : groups) {
    const CalibrationKind kind = algorithm_of(group->members.front());
    if (kind != CalibrationKind::awq && kind != CalibrationKind::smoothquant) continue;
    std::string why = obstacle(*group, groups, routes);
    if (why.empty() &&
        !std::ranges::all_of(group->members, [&](const Linear& one) { return algorithm_of(one) == kind; }))
      why = "not all of its layers ask for it";
    if (!why.empty()) {
      left.push_back(fmt::format("{} ({})", group->name, why));
      continue;
    }
    const Tensor x = joined_inputs(*group, show_inputs);
    if (loops_are_dry() || x.rows() == 0) continue;
    std::vector<Tensor> weights;
    for (const Linear& member : group->members) weights.push_back(member.weight->value());
    const LinearQuantizers& first = *by_weight.at(group->members.front().weight.get());
    const BlockFormat& format = first.weights->format();
    const BlockFormat* const inputs = first.inputs != nullptr ? &first.inputs->format() : nullptr;
    const std::vector<float> factors =
        kind == CalibrationKind::awq
            ? choose_awq(x, weights, format, inputs, config.smoothing.grid).factors
            : smoothquant_factors({input_magnitudes(x, true), weight_magnitudes(weights, format, true)},
                                  config.smoothing.strength);
    if (std::ranges::all_of(factors, [](float one) { return one == 1.0f; })) continue;
    fold(*group, bias_of(group->fed_by, groups), factors);
    any = true;
  }
  if (!left.empty())
    log_warning("awq, smoothquant: no place for factors, only scales are found: {}", first_names(left));
  return any;
}

}  // namespace qad
