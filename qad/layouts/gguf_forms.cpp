#include "qad/layouts/gguf_forms.h"

#include <cmath>

#include "autograd/base/error.h"
#include "qad/layouts/exporter.h"

namespace qad {
namespace {

Shape gguf_shape(const Shape& shape, GgufAxes axes, const ModelConfig& config) {
  const std::int64_t first = shape[0], all = shape.size();
  switch (axes) {
    case GgufAxes::same: return shape;
    case GgufAxes::column:
    case GgufAxes::heads: return {all, 1};
    case GgufAxes::taps: return {first, all / first};
    case GgufAxes::groups: return {config.mamba->n_groups, all / config.mamba->n_groups};
  }
  return shape;
}

Shape hub_shape(const Shape& shape, GgufAxes axes) {
  const std::int64_t first = shape[0], all = shape.size();
  switch (axes) {
    case GgufAxes::same: return shape;
    case GgufAxes::column:
    case GgufAxes::groups: return {all};
    case GgufAxes::heads: return {1, 1, all, 1};
    case GgufAxes::taps: return {first, 1, all / first};
  }
  return shape;
}

template <class Function>
Tensor mapped(const Tensor& value, const Shape& shape, Function&& function) {
  const Tensor in = as_stored(value, DType::f32), out(shape);
  for (std::int64_t i = 0; i < in.size(); ++i) out.data()[i] = function(in.data()[i]);
  return out;
}

}  // namespace

Tensor in_gguf_form(const Tensor& value, const GgufTensor& tensor, const ModelConfig& config) {
  return mapped(value, gguf_shape(value.shape(), tensor.axes, config), [&](float x) {
    switch (tensor.numbers) {
      case GgufNumbers::same: break;
      case GgufNumbers::negative_exponential: return -std::exp(x);
      case GgufNumbers::one_more: return x + 1.0f;
    }
    return x;
  });
}

Tensor in_hub_form(const Tensor& value, const GgufTensor& tensor) {
  return mapped(value, hub_shape(value.shape(), tensor.axes), [&](float x) {
    switch (tensor.numbers) {
      case GgufNumbers::same: break;
      case GgufNumbers::negative_exponential: return std::log(-x);
      case GgufNumbers::one_more: return x - 1.0f;
    }
    return x;
  });
}

}  // namespace qad
