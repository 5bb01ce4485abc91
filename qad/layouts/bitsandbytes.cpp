#include "qad/layouts/bitsandbytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "qad/layouts/stored_layer.h"

namespace qad {
namespace {

constexpr const char* kReadable = "only NF4 with FP32 scales of 64 values can be read";

Tensor bytes_of(const std::string& text) {
  const Tensor bytes({std::ssize(text)}, DType::u8);
  std::memcpy(bytes.raw(), text.data(), text.size());
  return bytes;
}

// As Python's json.dumps writes it.
FileTensor pack_state(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  const QuantizedTensor& weight = *linear.weight;
  return {name, std::string(part.dtype),
          bytes_of(fmt::format(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "float32", "shape": [{}, {}]}})",
                               weight.format->element->name, weight.format->block, weight.rows, weight.cols))};
}

void unpack_state(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  const auto bytes = tensors.take(name, part.dtype).data;
  const auto* const text = reinterpret_cast<const char*>(bytes.raw());
  const OrderedJson state = OrderedJson::parse(text, text + bytes.size(), nullptr, false);
  const auto is = [&](const char* key, const OrderedJson& value) {
    return state.is_object() && state.contains(key) && state[key] == value;
  };
  if (!is("quant_type", weight.format->element->name) || !is("blocksize", weight.format->block) ||
      state.contains("nested_blocksize"))
    throw Error({.who = name,
                 .expected = fmt::format("{} in blocks of {}", weight.format->element->name, weight.format->block),
                 .got = state.is_object() ? state.dump() : "no JSON object",
                 .hint = kReadable});
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // so that products fit
  const auto is_extent = [](const OrderedJson& one) {
    return one.is_number_integer() && one.get<std::int64_t>() > 0 && one.get<std::int64_t>() < kLargest;
  };
  const OrderedJson shape = state.contains("shape") ? state["shape"] : OrderedJson();
  if (!shape.is_array() || shape.size() != 2 || !std::ranges::all_of(shape, is_extent))
    throw Error({.who = name, .expected = "the shape of a matrix", .got = shape.dump()});
  weight.rows = shape[0].get<std::int64_t>();
  weight.cols = shape[1].get<std::int64_t>();
  if (weight.cols % weight.format->block != 0)
    throw Error({.who = name,
                 .expected = fmt::format("rows of whole blocks of {}", weight.format->block),
                 .got = shape.dump(),
                 .hint = kReadable});
}

// Nibbles of a byte change places.
void swap_nibbles(const Tensor& from, const Tensor& to) {
  const std::uint8_t* const in = from.data<std::uint8_t>();
  std::uint8_t* const out = to.data<std::uint8_t>();
  parallel_for(from.size(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = static_cast<std::uint8_t>(in[i] << 4 | in[i] >> 4);
  });
}

FileTensor pack_nibbles(const std::string& name, const StoredPart& part, const ExportLinear& linear) {
  const Tensor& codes = linear.weight->codes;
  const Tensor nibbles({codes.size(), 1}, DType::u8);
  swap_nibbles(codes, nibbles);
  return {name, std::string(part.dtype), nibbles};
}

void unpack_nibbles(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  const Tensor nibbles = tensors.take(name, part.dtype).data;
  weight.codes = Tensor({weight.rows, weight.format->code_bytes_per_row(weight.cols)}, DType::u8);
  if (nibbles.size() != weight.codes.size())
    throw Error({.who = name,
                 .expected = fmt::format("{} bytes of codes", weight.codes.size()),
                 .got = std::to_string(nibbles.size())});
  swap_nibbles(nibbles, weight.codes);
}

FileTensor pack_absmax(const std::string& name, const StoredPart& /*part*/, const ExportLinear& linear) {
  const Tensor& scales = linear.weight->scales;
  return float_tensor(name, scales.reshape({scales.size()}));
}

void unpack_absmax(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  QuantizedTensor& weight = *linear.weight;
  const Tensor scales = tensors.take(name, part.dtype).data;
  const Shape shape{weight.rows, weight.format->blocks_per_row(weight.cols)};
  if (scales.size() != shape.size())
    throw Error(
        {.who = name, .expected = fmt::format("{} block scales", shape.size()), .got = std::to_string(scales.size())});
  weight.scales = scales.reshape(shape);
  check_block_scales(name, weight);
}

Tensor code_values(const ElementType& element) {
  const auto values = value_table(element);
  return Tensor::from(values, {std::ssize(values)});
}

FileTensor pack_values(const std::string& name, const StoredPart& /*part*/, const ExportLinear& linear) {
  return float_tensor(name, code_values(*linear.weight->format->element));
}

void unpack_values(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear) {
  const Tensor values = tensors.take(name, part.dtype).data;
  if (!std::ranges::equal(values.span(), value_table(*linear.weight->format->element)))
    throw Error({.who = name, .expected = "the sixteen values of NF4", .got = "others", .hint = kReadable});
}

constexpr PartCode kState = {pack_state, unpack_state};
constexpr PartCode kNibbles = {pack_nibbles, unpack_nibbles};
constexpr PartCode kAbsmax = {pack_absmax, unpack_absmax};
constexpr PartCode kValues = {pack_values, unpack_values};

constexpr auto kNf4Parts = std::to_array<StoredPart>({{".weight.quant_state.bitsandbytes__nf4", "U8", &kState},
                                                      {".weight", "U8", &kNibbles},
                                                      {".weight.absmax", "F32", &kAbsmax},
                                                      {".weight.quant_map", "F32", &kValues}});
struct StoredKind {
  StoredLayer stored;
};
constexpr auto kKinds = std::to_array<StoredKind>({{{"nf4_g64", "none", kNf4Parts}}});

// In BF16 where that holds every value.
Tensor narrowed(const Tensor& value) {
  const Tensor wide = as_stored(value, DType::f32), narrow = as_stored(wide, DType::bf16);
  return std::ranges::equal(wide.span(), as_stored(narrow, DType::f32).span()) ? narrow : value;
}

// The keys that transformers writes.
OrderedJson bitsandbytes_config(const ExportModel& model) {
  OrderedJson json;
  json["_load_in_4bit"] = true;
  json["_load_in_8bit"] = false;
  json["bnb_4bit_compute_dtype"] = "float32";
  json["bnb_4bit_quant_storage"] = "uint8";
  json["bnb_4bit_quant_type"] = "nf4";
  json["bnb_4bit_use_double_quant"] = false;
  json["llm_int8_enable_fp32_cpu_offload"] = false;
  json["llm_int8_has_fp16_weight"] = false;
  json["llm_int8_skip_modules"] = unquantized_names(model);
  json["llm_int8_threshold"] = 6.0;
  json["load_in_4bit"] = true;
  json["load_in_8bit"] = false;
  json["quant_method"] = "bitsandbytes";
  return json;
}

}  // namespace

bool holds_bitsandbytes(const LayerFormats& formats) {
  return find_row(std::span<const StoredKind>(kKinds), formats) != nullptr;
}

std::vector<Refusal> refuse_bitsandbytes(const ExportOutline& outline) {
  if (!outline.config.experts) return {};
  return {{{"", "a model without experts", outline.config.model_type,
            "transformers has a layer's experts in one tensor, which bitsandbytes leaves as it is; export as dense"}}};
}

void pack_bitsandbytes_tensors(const ExportModel& model, ExportFiles& files) {
  for (const NamedTensor& tensor : model.dense)
    files.tensors.push_back(
        float_tensor(tensor.name, as_f32(as_stored(tensor.value, kept_type(tensor.role, model.dense_type)))));
  for (const ExportLinear& linear : model.linears)
    if (linear.weight)
      append_parts(find_row(std::span<const StoredKind>(kKinds), formats_of(linear))->stored, linear, files.tensors);
}

void pack_bitsandbytes_texts(const ExportModel& model, ExportFiles& files) {
  OrderedJson config = config_of(model, compute_type(model));
  config["quantization_config"] = bitsandbytes_config(model);
  files.texts["config.json"] = to_text(config);
}

ExportModel unpack_bitsandbytes(const ExportFiles& files) {
  TensorTable tensors(files.tensors);
  ExportModel model;
  model.config_json = plain_config(files);
  const OrderedJson config = parse_text(files, "config.json");
  for (const std::string& name :
       tensors.stems({".weight.quant_state.bitsandbytes__fp4", ".weight.nested_absmax", ".SCB"}))
    throw Error({.who = name, .expected = "a layer in NF4", .got = "one of another kind", .hint = kReadable});
  for (const std::string& name : stored_layers(std::span<const StoredKind>(kKinds), tensors))
    model.linears.push_back(take_parts(kKinds.front().stored, name, tensors));
  for (const std::string& name : names_at(config, {"quantization_config", "llm_int8_skip_modules"}))
    model.linears.push_back({name, "", {}, {}});
  for (const NamedTensor& tensor : tensors.rest()) model.dense.push_back({tensor.name, narrowed(tensor.value)});
  return model;
}

}  // namespace qad
