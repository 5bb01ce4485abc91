#include "qad/layouts/layout_files.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "data/files/json_file.h"

namespace qad {
OrderedJson parse_text(const ExportFiles& files, const std::string& name) {
  const auto found = files.texts.find(name);
  if (found == files.texts.end())
    throw Error({.who = name, .expected = "a file beside the weights", .got = "none", .hint = "is the folder whole?"});
  return parse_python_object(found->second, name);
}

OrderedJson config_of(const ExportModel& model, DType weight_type) {
  QAD_ASSERT(weight_type == DType::bf16 || weight_type == DType::f32);
  OrderedJson config = parse_python_object(model.config_json, "config.json");
  const std::string type = weight_type == DType::bf16 ? "bfloat16" : "float32";
  config["torch_dtype"] = type;
  if (config.contains("dtype")) config["dtype"] = type;  // the name since transformers v5
  config.erase("quantization_config");
  return config;
}

std::string to_text(const OrderedJson& json) { return json.dump(2) + "\n"; }

std::string plain_config(const ExportFiles& files) {
  OrderedJson config = parse_text(files, "config.json");
  config.erase("quantization_config");
  return to_text(config);
}

FileTensor float_tensor(std::string name, const Tensor& value) {
  const DType type = value.dtype();
  QAD_ASSERT(type == DType::f32 || type == DType::bf16 || type == DType::f16);
  return {std::move(name), type == DType::f32 ? "F32" : type == DType::bf16 ? "BF16" : "F16", value};
}

FileTensor scalar_tensor(std::string name, const Shape& shape, float value, DType dtype) {
  const Tensor scalar(shape);
  scalar.fill(value);
  return float_tensor(std::move(name), dtype == DType::f32 ? scalar : scalar.to(dtype));
}

FileTensor multiplier_tensor(const std::string& name, float scale) {
  const bool fits = bf16_to_f32(f32_to_bf16(scale)) == scale;
  return scalar_tensor(name, {1}, scale, fits ? DType::bf16 : DType::f32);
}

bool is_power_of_two(float scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.5f;
}

void append_dense(const ExportModel& model, std::vector<FileTensor>& tensors) {
  for (const NamedTensor& tensor : model.dense)
    tensors.push_back(float_tensor(tensor.name, as_stored(tensor.value, kept_type(tensor.role, model.dense_type))));
}

std::vector<std::string> names_at(const OrderedJson& json, std::initializer_list<const char*> path) {
  const OrderedJson* place = &json;
  std::string who;
  for (const char* key : path) {
    who += who.empty() ? key : std::string(".") + key;
    const auto found = place->is_object() ? place->find(key) : place->end();
    if (found == place->end()) return {};
    place = &*found;
  }
  std::vector<std::string> names;
  for (const OrderedJson& name : *place) {
    if (!place->is_array() || !name.is_string())
      throw Error({.who = who, .expected = "a list of names", .got = place->dump()});
    names.push_back(name.get<std::string>());
  }
  return names;
}

std::vector<std::string> unquantized_names(const ExportModel& model) {
  std::vector<std::string> names;
  for (const ExportLinear& linear : model.linears)
    if (!linear.weight) names.push_back(linear.name);
  constexpr std::string_view kWeightSuffix = ".weight";
  for (const NamedTensor& tensor : model.dense)
    if ((tensor.role == Role::router || tensor.role == Role::convolution) && tensor.name.ends_with(kWeightSuffix))
      names.push_back(tensor.name.substr(0, tensor.name.size() - kWeightSuffix.size()));
  for (const Passenger& one : model.passengers)
    if (one.data.shape().rank() == 2 && one.name.ends_with(kWeightSuffix))
      names.push_back(one.name.substr(0, one.name.size() - kWeightSuffix.size()));
  return names;
}

TensorTable::TensorTable(const std::vector<FileTensor>& tensors) : tensors_(tensors) {
  for (const FileTensor& tensor : tensors) by_name_[tensor.name] = &tensor;
}

std::string_view TensorTable::dtype_of(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::string_view() : std::string_view(found->second->dtype);
}

const FileTensor& TensorTable::take(const std::string& name, std::string_view dtype) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    throw Error({.who = name, .expected = "a tensor of type " + std::string(dtype), .got = "none"});
  if (found->second->dtype != dtype)
    throw Error({.who = name, .expected = "a tensor of type " + std::string(dtype), .got = found->second->dtype});
  taken_.insert(name);
  return *found->second;
}

std::vector<float> TensorTable::take_scales(const std::string& name, std::int64_t count) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error({.who = name, .expected = "a scale", .got = "no such tensor"});
  const Tensor& data = found->second->data;
  if (data.size() != count || data.shape().rank() > 1 || data.dtype() == DType::u8)
    throw Error({.who = name,
                 .expected = count == 1 ? "one number" : std::to_string(count) + " numbers",
                 .got = found->second->dtype + " " + data.shape().text()});
  taken_.insert(name);
  const Tensor floats = as_f32(data);
  for (const float scale : floats.span())
    if (!(scale > 0.0f) || !std::isfinite(scale))
      throw Error({.who = name, .expected = "a positive scale", .got = std::to_string(scale)});
  return {floats.span().begin(), floats.span().end()};
}

Tensor TensorTable::take_exactly(const std::string& name, DType dtype) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error({.who = name, .expected = "a tensor", .got = "none"});
  const Tensor& stored = found->second->data;
  if (stored.dtype() != DType::f32 && stored.dtype() != DType::bf16 && stored.dtype() != DType::f16)
    throw Error({.who = name, .expected = "F32, F16 or BF16", .got = found->second->dtype});
  taken_.insert(name);
  const Tensor wide = as_stored(stored, DType::f32), result = as_stored(wide, dtype);
  const Tensor back = as_stored(result, DType::f32);
  if (!std::ranges::equal(wide.span(), back.span()))
    throw Error({.who = name,
                 .expected = "values that " + std::string(name_of(dtype)) + " holds exactly",
                 .got = found->second->dtype});
  return result;
}

std::vector<NamedTensor> TensorTable::rest() const {
  std::vector<NamedTensor> dense;
  for (const FileTensor& tensor : tensors_) {
    if (taken_.contains(tensor.name)) continue;
    const DType type = tensor.data.dtype();
    if (type != DType::f32 && type != DType::bf16 && type != DType::f16)
      throw Error(
          {.who = tensor.name, .expected = "F32, F16 or BF16 outside of quantized layers", .got = tensor.dtype});
    dense.push_back({tensor.name, tensor.data});
  }
  return dense;
}

std::vector<std::string> TensorTable::stems(const std::vector<std::string_view>& suffixes) const {
  std::vector<std::string> stems;
  std::set<std::string> known;
  for (const FileTensor& tensor : tensors_)
    for (const std::string_view suffix : suffixes) {
      if (!tensor.name.ends_with(suffix)) continue;
      std::string stem = tensor.name.substr(0, tensor.name.size() - suffix.size());
      if (known.insert(stem).second) stems.push_back(std::move(stem));
    }
  return stems;
}

void add_cache_scale(ExportModel& model, KeyValueScale scale) {
  model.cache_format = &block_format(kStoredCacheFormat);
  model.key_value_scales.push_back(std::move(scale));
}

}  // namespace qad
