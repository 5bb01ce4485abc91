#include "qad/exporters/layout_files.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/core/error.h"

namespace qad {
namespace {

OrderedJson parse_object(const std::string& text, const std::string& who) {
  OrderedJson json = OrderedJson::parse(text, nullptr, false);
  if (!json.is_object()) throw Error({who, "a JSON object", "something else", "is the file damaged?"});
  return json;
}

}  // namespace

OrderedJson parse_text(const ExportFiles& files, const std::string& name) {
  const auto found = files.texts.find(name);
  if (found == files.texts.end()) throw Error({name, "a file beside the weights", "none", "is the folder whole?"});
  return parse_object(found->second, name);
}

OrderedJson config_of(const ExportModel& model, DType weight_type) {
  QAD_ASSERT(weight_type == DType::bf16 || weight_type == DType::f32);
  OrderedJson config = parse_object(model.config_json, "config.json");
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

void append_dense(const ExportModel& model, std::vector<FileTensor>& tensors) {
  for (const NamedTensor& tensor : model.dense)
    tensors.push_back(float_tensor(tensor.name, as_stored(tensor.value, model.dense_type)));
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
    if (!place->is_array() || !name.is_string()) throw Error({who, "a list of names", place->dump(), ""});
    names.push_back(name.get<std::string>());
  }
  return names;
}

void check_has_codes(const ExportModel& model) {
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) return;
  throw Error({"export", "a quantized layer at least", "none", "export as dense"});
}

std::vector<std::string> unquantized_names(const ExportModel& model) {
  std::vector<std::string> names;
  for (const ExportLinear& linear : model.linears)
    if (!linear.weight) names.push_back(linear.name);
  return names;
}

TensorTable::TensorTable(const std::vector<FileTensor>& tensors) : tensors_(tensors) {
  for (const FileTensor& tensor : tensors) by_name_[tensor.name] = &tensor;
}

const FileTensor& TensorTable::take(const std::string& name, std::string_view dtype) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error({name, "a tensor of type " + std::string(dtype), "none", ""});
  if (found->second->dtype != dtype)
    throw Error({name, "a tensor of type " + std::string(dtype), found->second->dtype, ""});
  taken_.insert(name);
  return *found->second;
}

float TensorTable::take_scale(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error({name, "a scale", "no such tensor", ""});
  const Tensor& data = found->second->data;
  if (data.size() != 1 || data.dtype() == DType::u8)
    throw Error({name, "one number", found->second->dtype + " " + data.shape().text(), ""});
  taken_.insert(name);
  const float scale = data.to(DType::f32).data()[0];
  if (!(scale > 0.0f) || !std::isfinite(scale)) throw Error({name, "a positive scale", std::to_string(scale), ""});
  return scale;
}

QuantizedTensor TensorTable::take_blocks(std::string_view format, const std::string& codes, const std::string& scales,
                                         float tensor_scale) {
  const BlockFormat& blocks = block_format(format);
  const bool e4m3 = format == "nvfp4";
  const Tensor& code = take(codes, "U8").data;
  if (code.shape().rank() != 2) throw Error({codes, "a matrix of codes", code.shape().text(), ""});
  QuantizedTensor result{&blocks, code.rows(), code.cols() * 2, code, {}, tensor_scale};
  const Tensor& scale = take(scales, e4m3 ? "F8_E4M3" : "U8").data;
  const Shape expected{result.rows, blocks.blocks_per_row(result.cols)};
  if (result.cols % blocks.block != 0 || scale.shape() != expected)
    throw Error({scales, "shape " + expected.text(), scale.shape().text(),
                 "a scale for every " + std::to_string(blocks.block) + " columns"});
  const std::uint8_t largest = e4m3 ? 0x7e : 0xfe;
  for (const std::uint8_t byte : scale.span<std::uint8_t>())
    if (byte > largest)
      throw Error({scales, e4m3 ? "block scales from 0 to 448" : "block scales up to 2^127", "a negative one or NaN",
                   "was it cast unclamped?"});
  result.scales = scale;
  return result;
}

QuantizedTensor TensorTable::take_fp8(const std::string& codes, float tensor_scale) {
  const Tensor& code = take(codes, "F8_E4M3").data;
  if (code.shape().rank() != 2) throw Error({codes, "a matrix of codes", code.shape().text(), ""});
  return {&block_format("fp8"), code.rows(), code.cols(), code, {}, tensor_scale};
}

std::vector<NamedTensor> TensorTable::rest() const {
  std::vector<NamedTensor> dense;
  for (const FileTensor& tensor : tensors_) {
    if (taken_.contains(tensor.name)) continue;
    const DType type = tensor.data.dtype();
    if (type != DType::f32 && type != DType::bf16 && type != DType::f16)
      throw Error({tensor.name, "F32, F16 or BF16 outside of quantized layers", tensor.dtype, ""});
    dense.push_back({tensor.name, tensor.data});
  }
  return dense;
}

std::vector<std::string> TensorTable::stems(std::string_view suffix) const {
  std::vector<std::string> stems;
  for (const FileTensor& tensor : tensors_)
    if (tensor.name.ends_with(suffix)) stems.push_back(tensor.name.substr(0, tensor.name.size() - suffix.size()));
  return stems;
}

}  // namespace qad
