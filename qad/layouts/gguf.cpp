#include "qad/layouts/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/families/generation_config.h"
#include "models/families/hf_config.h"
#include "models/layers/rotary.h"
#include "qad/layouts/gguf_blocks.h"
#include "qad/layouts/gguf_tokenizer.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

constexpr std::string_view kLayers = "model.layers.", kBlocks = "blk.";
constexpr const char* kRopeFactors = "rope_freqs.weight";
constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kKeyScales = "qad.attention.key_scales";
constexpr const char* kValueScales = "qad.attention.value_scales";
constexpr std::uint32_t kMostlyMxfp4 = 38, kMostlyNvfp4 = 39;  // llama.cpp's general.file_type

struct Name {
  std::string_view ours, theirs;
  bool linear;
};
constexpr auto kInLayer = std::to_array<Name>({{"input_layernorm", "attn_norm", false},
                                               {"self_attn.q_proj", "attn_q", true},
                                               {"self_attn.k_proj", "attn_k", true},
                                               {"self_attn.v_proj", "attn_v", true},
                                               {"self_attn.q_norm", "attn_q_norm", false},
                                               {"self_attn.k_norm", "attn_k_norm", false},
                                               {"self_attn.o_proj", "attn_output", true},
                                               {"post_attention_layernorm", "ffn_norm", false},
                                               {"mlp.gate_proj", "ffn_gate", true},
                                               {"mlp.up_proj", "ffn_up", true},
                                               {"mlp.down_proj", "ffn_down", true}});
constexpr auto kAround = std::to_array<Name>(
    {{"model.embed_tokens", "token_embd", false}, {"model.norm", "output_norm", false}, {"lm_head", "output", true}});

struct Translated {
  std::string name;
  bool linear = false;
};

/// A module's name in the other language; an Error for one that the architectures lack.
Translated translate(const std::string& module, std::string_view Name::*from, std::string_view Name::*to,
                     std::string_view layers_from, std::string_view layers_to) {
  std::string_view rest = module;
  std::string prefix;
  if (rest.starts_with(layers_from)) {
    const std::size_t dot = std::min(rest.find('.', layers_from.size()), rest.size());
    prefix = std::string(layers_to).append(rest.substr(layers_from.size(), dot - layers_from.size())) + ".";
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  const auto search = [&](const auto& names) -> Translated {
    const auto found = std::ranges::find(names, rest, from);
    if (found == names.end()) throw Error({module, "a layer of Llama, Mistral or Qwen", "another one", ""});
    return {prefix + std::string((*found).*to), found->linear};
  };
  return prefix.empty() ? search(kAround) : search(kInLayer);
}
Translated to_gguf(const std::string& module) {
  return translate(module, &Name::ours, &Name::theirs, kLayers, kBlocks);
}
Translated from_gguf(const std::string& module) {
  return translate(module, &Name::theirs, &Name::ours, kBlocks, kLayers);
}

/// "a.b.weight" -> "a.b", "weight"
std::pair<std::string, std::string> split_kind(const std::string& tensor) {
  const std::size_t dot = std::min(tensor.rfind('.'), tensor.size());
  return {tensor.substr(0, dot), dot < tensor.size() ? tensor.substr(dot + 1) : ""};
}

std::string_view architecture(const ModelConfig& config) {
  return config.model_type == "mistral" ? "llama" : std::string_view(config.model_type);
}

/// llama.cpp's llama turns neighbours 2i and 2i+1 of a head, Hugging Face's i and i + head_dim/2.
bool turns_neighbours(const ModelConfig& config, const std::string& module) {
  return architecture(config) == "llama" && (module.ends_with(".q_proj") || module.ends_with(".k_proj"));
}
enum class Order { gguf, hub };
Tensor reordered(const Tensor& rows, const ModelConfig& config, Order order) {
  const std::int64_t head_size = config.head_size(), half = head_size / 2, count = rows.shape()[0];
  if (count % head_size != 0)
    throw Error({"rows of q and k", fmt::format("whole heads of {}", head_size), std::to_string(count),
                 "does config.json belong to it?"});
  const Tensor result(rows.shape(), rows.dtype());
  const std::size_t bytes = rows.bytes() / static_cast<std::size_t>(count);
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t head = row / head_size, in_head = row % head_size;
    const std::int64_t neighbour = head * head_size + in_head % half * 2 + in_head / half;
    const auto from = static_cast<std::size_t>(order == Order::gguf ? row : neighbour) * bytes;
    const auto to = static_cast<std::size_t>(order == Order::gguf ? neighbour : row) * bytes;
    std::memcpy(result.raw() + to, rows.raw() + from, bytes);
  }
  return result;
}

/// Keys of config.json that llama.cpp has no place for.
void refuse_keys(const ModelConfig& config, std::vector<Refusal>& refusals) {
  const auto refuse = [&](const char* key, const std::string& expected, const std::string& got) {
    refusals.push_back({{std::string("config.json: ") + key, expected, got, "llama.cpp has no place for it"}});
  };
  if (config.model_type == "nemotron-nas") refuse("model_type", "llama, mistral, qwen2 or qwen3", config.model_type);
  const bool whole_context = config.sliding_window == 0 || config.sliding_window >= config.max_position_embeddings ||
                             config.max_window_layers >= config.num_hidden_layers;
  if (!whole_context)
    refuse("sliding_window", fmt::format("none within max_position_embeddings {}", config.max_position_embeddings),
           std::to_string(config.sliding_window));
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.rope_type == RopeScalingKind::dynamic) refuse("rope_scaling", "linear, yarn, llama3 or none", "dynamic");
  const RopeScaling known;  // of yarn's bounds llama.cpp has these alone
  if (scaling.rope_type == RopeScalingKind::yarn) {
    if (scaling.beta_fast != known.beta_fast || scaling.beta_slow != known.beta_slow)
      refuse("rope_scaling", fmt::format("beta_fast {} and beta_slow {}", known.beta_fast, known.beta_slow),
             fmt::format("{} and {}", scaling.beta_fast, scaling.beta_slow));
    if (!scaling.truncate) refuse("rope_scaling", "truncate true for yarn", "false");
  }
  if (architecture(config) == "llama") return;
  if (config.attention_output_bias) refuse("attention_bias", "false for " + config.model_type, "true");
  if (scaling.rope_type == RopeScalingKind::llama3)
    refuse("rope_scaling", "linear, yarn or none for " + config.model_type, "llama3");
}

/// llama3's rule is a tensor of factors instead, kRopeFactors.
void add_rope_scaling(const ModelConfig& config, const std::string& arch, GgufMetadata& metadata) {
  const RopeScaling& scaling = config.rope_scaling;
  const bool yarn = scaling.rope_type == RopeScalingKind::yarn;
  if (!yarn && scaling.rope_type != RopeScalingKind::linear) return;
  const std::string key = arch + ".rope.scaling.";
  const auto add = [&](const char* name, double value) {
    metadata.emplace_back(key + name, static_cast<float>(value));
  };
  metadata.emplace_back(key + "type", std::string(enum_name(scaling.rope_type)));
  add("factor", scaling.factor);
  if (!yarn) return;
  metadata.emplace_back(key + "original_context_length",
                        static_cast<std::uint32_t>(scaling.original_max_position_embeddings));
  // llama.cpp multiplies its own magnitude with attn_factor.
  if (scaling.attention_factor > 0)
    add("attn_factor", rotary_magnitude(scaling) / (0.1 * std::log(scaling.factor) + 1.0));
}

GgufMetadata sizes(const ModelConfig& config, bool nvfp4) {
  const std::string arch(architecture(config));
  GgufMetadata metadata = {{kArchitecture, arch},
                           {"general.type", std::string("model")},
                           {"general.name", config.model_type + " student"},
                           {"general.quantized_by", std::string("qad")},
                           {"general.quantization_version", 2u},
                           {"general.file_type", nvfp4 ? kMostlyNvfp4 : kMostlyMxfp4}};
  const auto add = [&](const char* key, std::int64_t value) {
    metadata.emplace_back(arch + key, static_cast<std::uint32_t>(value));
  };
  add(".vocab_size", config.vocab_size);
  add(".context_length", config.max_position_embeddings);
  add(".embedding_length", config.hidden_size);
  add(".block_count", config.num_hidden_layers);
  add(".feed_forward_length", config.intermediate_size);
  add(".attention.head_count", config.num_attention_heads);
  add(".attention.head_count_kv", config.num_key_value_heads);
  add(".attention.key_length", config.head_size());
  add(".attention.value_length", config.head_size());
  add(".rope.dimension_count", config.head_size());
  metadata.emplace_back(arch + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
  metadata.emplace_back(arch + ".rope.freq_base", static_cast<float>(config.rope_theta));
  add_rope_scaling(config, arch, metadata);
  return metadata;
}

/// By how much each rotary frequency is stretched.
Tensor rope_factors(const ModelConfig& config) {
  const Tensor factors({config.head_size() / 2});
  ModelConfig plain = config;
  plain.rope_scaling.rope_type = RopeScalingKind::none;
  for (std::int64_t i = 0; i < factors.size(); ++i)
    factors.data()[i] = static_cast<float>(rotary_frequency(plain, i) / rotary_frequency(config, i));
  return factors;
}

/// llama.cpp multiplies a product with its tensor scale in most places, but not everywhere. Empty: it does here.
std::string place_without_scale(const std::string& layer, const ModelConfig& config) {
  if (layer.find(".mlp.") == std::string::npos) return "";
  if (config.model_type == "qwen2") return "no nvfp4 in the mlp of qwen2";
  return config.mlp_bias ? "no nvfp4 where mlp_bias is true" : "";
}

void append_linear(const ExportLinear& linear, const ModelConfig& config, std::vector<FileTensor>& tensors) {
  QuantizedTensor weight = *linear.weight;
  const std::string_view type = gguf_block_type(*weight.format);
  QAD_ASSERT(!type.empty() && weight.cols % gguf_type(type).values == 0);  // what has no place was refused
  if (turns_neighbours(config, linear.name)) {
    weight.codes = reordered(weight.codes, config, Order::gguf);
    weight.scales = reordered(weight.scales, config, Order::gguf);
  }
  const std::string name = to_gguf(linear.name).name;
  tensors.push_back({name + ".weight", std::string(type), pack_gguf_blocks(weight)});
  if (weight.format->has_tensor_scale) tensors.push_back(scalar_tensor(name + ".scale", {1}, weight.tensor_scale));
  if (linear.input) tensors.push_back(scalar_tensor(name + ".input_scale", {1}, linear.input->tensor_scale));
}

void append_plain(const ExportModel& model, const ModelConfig& config, std::vector<FileTensor>& tensors) {
  for (const NamedTensor& tensor : model.dense) {
    const auto [module, kind] = split_kind(tensor.name);
    Tensor value = as_stored(tensor.value, model.dense_type);
    if (value.shape().rank() < 2) value = as_stored(value, DType::f32);
    if (turns_neighbours(config, module)) value = reordered(value, config, Order::gguf);
    tensors.push_back(float_tensor(to_gguf(module).name + "." + kind, value));
  }
}

/// The order in which a forward reads: embedding, layers, last norm, head.
std::int64_t place_of(const std::string& tensor) {
  if (!tensor.starts_with(kBlocks)) return tensor.starts_with("output") ? INT64_MAX : -1;
  std::int64_t layer = 0;
  std::from_chars(tensor.data() + kBlocks.size(), tensor.data() + tensor.size(), layer);
  return layer;
}

void add_cache_scales(const ExportModel& model, const ModelConfig& config, GgufMetadata& metadata) {
  if (model.key_value_scales.empty()) return;
  QAD_ASSERT(std::ssize(model.key_value_scales) == config.num_hidden_layers);
  std::vector<float> keys, values;
  for (const KeyValueScale& scale : model.key_value_scales) {
    QAD_ASSERT(scale.attention == fmt::format("{}{}.self_attn", kLayers, keys.size()));
    keys.push_back(scale.key);
    values.push_back(scale.value);
  }
  metadata.emplace_back(kKeyScales, keys);
  metadata.emplace_back(kValueScales, values);
}

std::vector<KeyValueScale> cache_scales(const GgufMetadata& metadata) {
  const auto* const keys = find_metadata<std::vector<float>>(metadata, kKeyScales);
  const auto* const values = find_metadata<std::vector<float>>(metadata, kValueScales);
  std::vector<KeyValueScale> scales;
  if (keys == nullptr || values == nullptr || keys->size() != values->size()) return scales;
  for (std::size_t i = 0; i < keys->size(); ++i)
    scales.push_back({fmt::format("{}{}.self_attn", kLayers, i), (*keys)[i], (*values)[i]});
  return scales;
}

}  // namespace

bool holds_gguf(const LayerFormats& formats) {
  if (formats.weights == nullptr || gguf_block_type(*formats.weights).empty()) return false;
  return formats.inputs == nullptr || (formats.inputs == formats.weights && formats.weights->has_tensor_scale);
}

std::vector<Refusal> refuse_gguf(const ExportOutline& outline) {
  std::vector<Refusal> refusals;
  refuse_keys(outline.config, refusals);
  LayerRefusals of_layers = outline.layer_refusals();
  for (const OutlineLinear& linear : outline.linears) {
    if (!holds_gguf(linear.formats)) continue;
    const std::int64_t values = gguf_type(gguf_block_type(*linear.formats.weights)).values;
    if (linear.in_features % values != 0)
      of_layers.add(linear.name,
                    {"", fmt::format("an inner dimension that is a multiple of {}, the width of GGUF's blocks", values),
                     std::to_string(linear.in_features), "export in another layout"},
                    -1, true);
    const std::string without_scale = place_without_scale(linear.name, outline.config);
    if (linear.formats.weights->has_tensor_scale && !without_scale.empty())
      of_layers.add(linear.name,
                    {"", without_scale + ", whose scale llama.cpp leaves out", "nvfp4", "export in another layout"}, -1,
                    true);
  }
  for (Refusal& refusal : of_layers.told()) refusals.push_back(std::move(refusal));
  return refusals;
}

void check_gguf_tokenizer(const Tokenizer& tokenizer, const ModelConfig& config) {
  static_cast<void>(gguf_tokenizer(&tokenizer, config));
}

ExportFiles pack_gguf(const ExportModel& model) {
  ModelConfig config = parse_hf_config(model.config_json, "config.json");
  check_holds("gguf", model, config);
  if (!model.generation_config_json.empty())
    use_end_tokens(model.generation_config_json, "generation_config.json", config);
  ExportFiles files;
  append_plain(model, config, files.tensors);
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) append_linear(linear, config, files.tensors);
  if (config.rope_scaling.rope_type == RopeScalingKind::llama3)
    files.tensors.push_back(float_tensor(kRopeFactors, rope_factors(config)));
  std::ranges::stable_sort(files.tensors, {}, [](const FileTensor& tensor) { return place_of(tensor.name); });

  const bool nvfp4 = std::ranges::any_of(files.tensors, [](const FileTensor& t) { return t.dtype == "NVFP4"; });
  files.metadata = sizes(config, nvfp4);
  for (auto& pair : gguf_tokenizer(model.tokenizer.get(), config)) files.metadata.push_back(std::move(pair));
  add_cache_scales(model, config, files.metadata);
  files.texts["config.json"] = to_text(config_of(model, model.dense_type));
  return files;
}

ExportModel unpack_gguf(const ExportFiles& files) {
  ExportModel model;
  model.config_json = plain_config(files);
  const ModelConfig config = parse_hf_config(model.config_json, "config.json");
  if (const auto* name = find_metadata<std::string>(files.metadata, kArchitecture);
      name == nullptr || *name != architecture(config))
    throw Error({kArchitecture, std::string(architecture(config)), name != nullptr ? *name : "none",
                 "does config.json belong to it?"});
  TensorTable tensors(files.tensors);
  for (const FileTensor& tensor : files.tensors) {
    if (tensor.data.dtype() != DType::u8) continue;
    const std::string stem = split_kind(tensor.name).first;
    ExportLinear linear{from_gguf(stem).name, "", {}, {}};
    const float scale = tensors.has(stem + ".scale") ? tensors.take_scale(stem + ".scale") : 1.0f;
    linear.weight = unpack_gguf_blocks(tensor.dtype, tensors.take(tensor.name, tensor.dtype).data, scale, tensor.name);
    if (turns_neighbours(config, linear.name)) {
      linear.weight->codes = reordered(linear.weight->codes, config, Order::hub);
      linear.weight->scales = reordered(linear.weight->scales, config, Order::hub);
    }
    if (tensors.has(stem + ".input_scale"))
      linear.input = {&block_format("nvfp4"), tensors.take_scale(stem + ".input_scale")};
    model.linears.push_back(std::move(linear));
  }
  for (NamedTensor& tensor : tensors.rest()) {
    if (tensor.name == kRopeFactors) continue;  // follows from config.json
    const auto [stem, kind] = split_kind(tensor.name);
    const Translated module = from_gguf(stem);
    if (turns_neighbours(config, module.name)) tensor.value = reordered(tensor.value, config, Order::hub);
    if (module.linear && kind == "weight") model.linears.push_back({module.name, "", {}, {}});
    model.dense.push_back({module.name + "." + kind, tensor.value});
  }
  if (!tensors.has("output.weight")) model.linears.push_back({"lm_head", "", {}, {}});
  model.key_value_scales = cache_scales(files.metadata);
  return model;
}

}  // namespace qad
