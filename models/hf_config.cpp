#include "models/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

const std::map<std::string, std::string>& architectures() {
  static const std::map<std::string, std::string> table = {{"llama", "LlamaForCausalLM"},
                                                           {"mistral", "MistralForCausalLM"},
                                                           {"nemotron-nas", "DeciLMForCausalLM"},
                                                           {"qwen2", "Qwen2ForCausalLM"},
                                                           {"qwen3", "Qwen3ForCausalLM"}};
  return table;
}

// Whether a number, or each of several, is whole and small enough to become one: the conversion itself does not ask.
bool is_whole(const Json& json) {
  if (json.is_array()) return std::ranges::all_of(json, is_whole);
  if (!json.is_number_float()) return true;
  const double value = json.get<double>();
  return std::abs(value) <= 0x1p53 && value == std::floor(value);
}

constexpr std::int64_t kLargestSize = (std::int64_t{1} << 31) - 1;  // products of two fit

class Reader {
 public:
  Reader(const Json& json, std::string who) : json_(json), who_(std::move(who)) {}

  // The value of a key, or `fallback` where it is absent or null.
  template <class T>
  [[nodiscard]] T get(const char* key, const T& fallback) const {
    if (!json_.contains(key) || json_[key].is_null()) return fallback;
    try {
      constexpr bool wants_whole = std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::vector<std::int64_t>>;
      if (wants_whole && !is_whole(json_[key]))
        throw Error({who_, std::string("whole numbers for ") + key, json_[key].dump(), ""});
      return json_[key].get<T>();
    } catch (const Json::exception&) {
      throw Error({who_, std::string("a value of the right type for ") + key, json_[key].dump(), ""});
    }
  }
  [[nodiscard]] std::int64_t need(const char* key) const {
    if (!json_.contains(key)) throw Error({who_, std::string("the key ") + key, "a config without it", ""});
    const auto value = get<std::int64_t>(key, 0);
    if (value <= 0 || value > kLargestSize)
      throw Error({who_, std::string(key) + " above 0 and below 2^31", std::to_string(value), ""});
    return value;
  }

 private:
  const Json& json_;
  std::string who_;
};

void check_family(const std::string& model_type, const std::string& who) {
  if (architectures().contains(model_type)) return;
  std::string known;
  for (const auto& [type, architecture] : architectures()) known += (known.empty() ? "" : ", ") + type;
  throw Error({who, "model_type to be one of " + known, "'" + model_type + "'", ""});
}

bool has_blocks(const ModelConfig& config) { return config.model_type == "nemotron-nas"; }
bool is_llama(const ModelConfig& config) { return config.model_type == "llama" || has_blocks(config); }
bool is_qwen(const ModelConfig& config) { return config.model_type.starts_with("qwen"); }

Json parse_object(const std::string& text, const std::string& who) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw Error({who, "a JSON object", "something else", "is the file cut off?"});
  return json;
}

// One id, several or none.
std::vector<std::int64_t> read_eos(const Json& json, const std::string& who) {
  const Reader read(json, who);
  if (json.contains("eos_token_id") && json["eos_token_id"].is_array())
    return read.get<std::vector<std::int64_t>>("eos_token_id", {});
  const auto eos = read.get<std::int64_t>("eos_token_id", -1);
  return eos >= 0 ? std::vector{eos} : std::vector<std::int64_t>{};
}

// Llama has no window, Mistral one in all layers, Qwen one from some layer on where it says that it uses it.
void read_window(const Json& json, const std::string& who, ModelConfig& config) {
  const Reader read(json, who);
  const bool windowed = config.model_type == "mistral" || (is_qwen(config) && read.get("use_sliding_window", false));
  const bool is_null = json.contains("sliding_window") && json["sliding_window"].is_null();
  if (windowed && !is_null) config.sliding_window = read.get<std::int64_t>("sliding_window", 4096);
  if (!is_qwen(config)) return;
  config.max_window_layers = read.get<std::int64_t>("max_window_layers", 28);
  const auto types = read.get<std::vector<std::string>>("layer_types", {});
  if (types.empty()) return;
  const auto first = std::ranges::find(types, "sliding_attention");
  if (std::ssize(types) != config.num_hidden_layers ||
      std::any_of(types.begin(), first, [](const std::string& type) { return type != "full_attention"; }) ||
      std::any_of(first, types.end(), [](const std::string& type) { return type != "sliding_attention"; }))
    throw Error({who, "layer_types of all layers, full_attention first and then sliding_attention",
                 json["layer_types"].dump(), "other orders are not supported"});
  config.max_window_layers = first - types.begin();
}

// transformers v4 has rope_theta and rope_scaling, v5 has rope_parameters with both.
void read_rope(const Json& json, const std::string& who, ModelConfig& config) {
  const Reader top(json, who);
  config.rope_theta = top.get("rope_theta", config.rope_theta);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json.contains(key) || !json[key].is_object()) continue;
    const Reader rope(json[key], who + ": " + key);
    config.rope_theta = rope.get("rope_theta", config.rope_theta);
    const auto type = rope.get<std::string>("rope_type", rope.get<std::string>("type", "default"));
    if (type == "default") continue;
    if (type != "llama3") throw Error({who, "rope_type default or llama3", type, "other scalings are not supported"});
    RopeScaling& scaling = config.rope_scaling;
    scaling.rope_type = RopeScalingKind::llama3;
    scaling.factor = rope.get("factor", scaling.factor);
    scaling.low_freq_factor = rope.get("low_freq_factor", scaling.low_freq_factor);
    scaling.high_freq_factor = rope.get("high_freq_factor", scaling.high_freq_factor);
    scaling.original_max_position_embeddings =
        rope.get("original_max_position_embeddings", scaling.original_max_position_embeddings);
  }
}

// Keys that change what a model computes, each with the value that changes nothing. Anything else asks for something
// that is not here, and a model read without it would be another model. From the configs of transformers' dense
// decoders.
void check_plain(const Json& json, const std::string& who) {
  static const std::map<std::string, Json> plain = {{"partial_rotary_factor", 1.0},
                                                    {"attention_multiplier", nullptr},
                                                    {"query_pre_attn_scalar", nullptr},
                                                    {"embedding_multiplier", 1.0},
                                                    {"residual_multiplier", 1.0},
                                                    {"logits_scaling", 1.0},
                                                    {"logit_scale", nullptr},
                                                    {"final_logit_softcapping", nullptr},
                                                    {"attn_logit_softcapping", nullptr},
                                                    {"clip_qkv", nullptr},
                                                    {"no_rope_layers", Json::array()},
                                                    {"use_mrope", false},
                                                    {"parallel_residual", false},
                                                    {"num_local_experts", 0},
                                                    {"num_experts", 0},
                                                    {"n_routed_experts", 0},
                                                    {"is_encoder_decoder", false}};
  for (const auto& [key, value] : plain)
    if (json.contains(key) && !json[key].is_null() && json[key] != value)
      throw Error({who, key + (value.is_null() ? " not to be there" : " to be " + value.dump()), json[key].dump(),
                   "models with it are not supported"});
}

// Llama-Nemotron's feed-forward widths are told as multiples: the width for a multiple of 1 is 2/3 of the hidden size,
// and all are rounded up to a multiple of 256.
constexpr std::int64_t kWidthMultiple = 256;

std::int64_t width_of(double ffn_mult, std::int64_t hidden_size) {
  const auto width = static_cast<std::int64_t>(2.0 * ffn_mult * static_cast<double>(hidden_size) / 3.0);
  return (width + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple;
}

BlockConfig read_block(const Json& json, const std::string& who, const ModelConfig& config) {
  const Reader block(json, who);
  const Json attention = block.get("attention", Json::object()), ffn = block.get("ffn", Json::object());
  const Reader of_attention(attention, who + ": attention"), of_ffn(ffn, who + ": ffn");
  for (const Json& part : {attention, ffn})
    for (const char* key :
         {"replace_with_linear", "sparsify", "window_length", "num_sink_tokens", "moe", "mamba", "llama4"})
      if (part.contains(key) && !part[key].is_null() && part[key] != false)
        throw Error({who, std::string(key) + " not to be there", part[key].dump(), "blocks with it are not supported"});
  BlockConfig result;
  if (!of_attention.get("no_op", false)) {
    const auto group = of_attention.get<std::int64_t>("n_heads_in_group", 0);
    if (group <= 0 || config.num_attention_heads % group != 0)
      throw Error({who, "n_heads_in_group that divides num_attention_heads", std::to_string(group), ""});
    result.num_key_value_heads = config.num_attention_heads / group;
  }
  if (!of_ffn.get("no_op", false)) {
    const double multiple = of_ffn.get("ffn_mult", 0.0);
    if (!(multiple > 0.0 && multiple < 1024.0)) throw Error({who, "ffn_mult above 0", std::to_string(multiple), ""});
    result.intermediate_size = width_of(multiple, config.hidden_size);
  }
  return result;
}

// The largest of the blocks stand for the model; blocks that are all alike need not be told.
void read_blocks(const Json& json, const std::string& who, ModelConfig& config) {
  if (!json.contains("block_configs") || !json["block_configs"].is_array())
    throw Error({who, "the key block_configs", "a config without it", ""});
  for (const Json& block : json["block_configs"])
    config.blocks.push_back(read_block(block, fmt::format("{}: block_configs[{}]", who, config.blocks.size()), config));
  config.num_key_value_heads = config.intermediate_size = 0;
  for (const BlockConfig& block : config.blocks) {
    config.num_key_value_heads = std::max(config.num_key_value_heads, block.num_key_value_heads);
    config.intermediate_size = std::max(config.intermediate_size, block.intermediate_size);
  }
  if (config.num_key_value_heads == 0 || config.intermediate_size == 0)
    throw Error({who, "a block with attention and one with a feed-forward layer", "none", ""});
  config.check(who);
  const BlockConfig all = {config.num_key_value_heads, config.intermediate_size};
  if (std::ranges::all_of(config.blocks, [&](const BlockConfig& block) { return block == all; })) config.blocks.clear();
}

Json block_configs(const ModelConfig& config) {
  Json blocks = Json::array();
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const BlockConfig block = config.block(i);
    Json attention = {{"n_heads_in_group", nullptr}, {"no_op", true}}, ffn = {{"ffn_mult", nullptr}, {"no_op", true}};
    if (block.num_key_value_heads > 0)
      attention = {{"n_heads_in_group", config.num_attention_heads / block.num_key_value_heads}, {"no_op", false}};
    if (block.intermediate_size > 0)
      ffn = {{"ffn_mult", 1.5 * static_cast<double>(block.intermediate_size) / static_cast<double>(config.hidden_size)},
             {"no_op", false}};
    attention["replace_with_linear"] = ffn["replace_with_linear"] = false;
    blocks.push_back({{"attention", attention}, {"ffn", ffn}});
  }
  return blocks;
}

void write_special_tokens(const ModelConfig& config, Json& json) {
  json["bos_token_id"] = config.bos_token_id >= 0 ? Json(config.bos_token_id) : Json(nullptr);
  if (config.eos_token_id.empty()) json["eos_token_id"] = nullptr;
  else if (config.eos_token_id.size() == 1) json["eos_token_id"] = config.eos_token_id.front();
  else json["eos_token_id"] = config.eos_token_id;
}

// Visits fields into a JSON object.
struct FieldWriter {
  Json& json;
  template <class T>
  void operator()(const Field& field, T& value) const {
    Json& place = json[std::string(field.name)];
    if constexpr (HasFields<T>) value.visit_fields(FieldWriter{place});
    else if constexpr (NamedEnum<T>) place = enum_name(value);
    else place = value;
  }
};

// All fields, with the width of a head as config.json has it.
Json fields_of(ModelConfig config) {
  config.head_dim = config.head_size();
  Json json;
  config.visit_fields(FieldWriter{json});
  return json;
}

}  // namespace

ModelConfig parse_hf_config(const std::string& text, const std::string& who) {
  const Json json = parse_object(text, who);
  const Reader read(json, who);
  ModelConfig config;
  config.model_type = read.get<std::string>("model_type", "");
  check_family(config.model_type, who);
  check_plain(json, who);
  if (const auto act = read.get<std::string>("hidden_act", "silu"); act != "silu")
    throw Error({who, "hidden_act silu", act, ""});
  config.vocab_size = read.need("vocab_size");
  config.hidden_size = read.need("hidden_size");
  if (!has_blocks(config)) config.intermediate_size = read.need("intermediate_size");
  config.num_hidden_layers = read.need("num_hidden_layers");
  config.num_attention_heads = read.need("num_attention_heads");
  config.num_key_value_heads = read.get("num_key_value_heads", config.num_attention_heads);
  config.head_dim = read.get<std::int64_t>("head_dim", config.model_type == "qwen3" ? 128 : 0);
  config.max_position_embeddings = read.get<std::int64_t>("max_position_embeddings", 2048);
  config.rms_norm_eps = read.get("rms_norm_eps", 1e-6);
  config.initializer_range = read.get("initializer_range", 0.02);
  config.tie_word_embeddings = read.get("tie_word_embeddings", false);
  config.qk_norm = config.model_type == "qwen3";
  // Qwen2 has biases on q, k and v without saying so, Mistral none; in the others attention_bias stands for all four.
  const bool says_bias = is_llama(config) || config.model_type == "qwen3";
  config.attention_output_bias = says_bias && read.get("attention_bias", false);
  config.attention_bias = config.model_type == "qwen2" || config.attention_output_bias;
  config.mlp_bias = is_llama(config) && read.get("mlp_bias", false);
  config.bos_token_id = read.get<std::int64_t>("bos_token_id", -1);
  config.eos_token_id = read_eos(json, who);
  if (has_blocks(config)) read_blocks(json, who, config);
  else if (json.contains("block_configs") && !json["block_configs"].empty())
    throw Error(
        {who, "block_configs not to be there", "model_type " + config.model_type, "it is nemotron-nas that has them"});
  read_window(json, who, config);
  read_rope(json, who, config);
  if (config.num_key_value_heads <= 0 || config.head_dim < 0)
    throw Error({who, "num_key_value_heads and head_dim above 0", "something else", ""});
  config.check(who);
  return config;
}

ModelConfig read_hf_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  ModelConfig config = parse_hf_config(read_file(file, "a model's config.json"), file.string());
  const std::filesystem::path generation = folder / "generation_config.json";
  if (std::filesystem::is_regular_file(generation))
    add_end_tokens(read_file(generation, "a model's generation_config.json"), generation.string(), config);
  return config;
}

void add_end_tokens(const std::string& generation_config, const std::string& who, ModelConfig& config) {
  std::vector<std::int64_t>& known = config.eos_token_id;
  for (const std::int64_t eos : read_eos(parse_object(generation_config, who), who))
    if (std::ranges::find(known, eos) == known.end()) known.push_back(eos);
}

void check_expressible(const ModelConfig& config, const std::string& who) {
  check_family(config.model_type, who);
  config.check(who);
  const Json wanted = fields_of(config);
  const ModelConfig parsed = parse_hf_config(to_hf_config(config, "bfloat16"), who);
  const Json read_back = fields_of(parsed);
  if (parsed.blocks != config.blocks)
    throw Error({who, "feed-forward widths that are multiples of 256", "others", "its config.json cannot say that"});
  for (const auto& [key, value] : wanted.items())
    if (value != read_back[key])
      throw Error({who, key + " " + read_back[key].dump() + " for model_type " + config.model_type, value.dump(),
                   "its config.json cannot say that"});
}

std::string to_hf_config(const ModelConfig& config, const std::string& torch_dtype) {
  Json json;
  json["architectures"] = {architectures().at(config.model_type)};
  json["model_type"] = config.model_type;
  json["vocab_size"] = config.vocab_size;
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = config.intermediate_size;
  json["num_hidden_layers"] = config.num_hidden_layers;
  json["num_attention_heads"] = config.num_attention_heads;
  json["num_key_value_heads"] = config.num_key_value_heads;
  json["head_dim"] = config.head_size();
  json["hidden_act"] = "silu";
  json["max_position_embeddings"] = config.max_position_embeddings;
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["initializer_range"] = config.initializer_range;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  if (is_llama(config) || config.model_type == "qwen3") json["attention_bias"] = config.attention_bias;
  if (is_llama(config)) json["mlp_bias"] = config.mlp_bias;
  json["rope_theta"] = config.rope_theta;
  json["rope_scaling"] = nullptr;
  if (const RopeScaling& scaling = config.rope_scaling; scaling.rope_type == RopeScalingKind::llama3)
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"rope_theta", config.rope_theta},
                            {"factor", scaling.factor},
                            {"low_freq_factor", scaling.low_freq_factor},
                            {"high_freq_factor", scaling.high_freq_factor},
                            {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
  const bool windowed = config.sliding_window > 0;
  if (windowed) json["sliding_window"] = config.sliding_window;
  else if (config.model_type == "mistral") json["sliding_window"] = nullptr;
  if (is_qwen(config)) {
    json["use_sliding_window"] = windowed;
    json["max_window_layers"] = config.max_window_layers;
  }
  write_special_tokens(config, json);
  if (has_blocks(config)) {
    json["block_configs"] = block_configs(config);
    json["intermediate_size"] = json["num_key_value_heads"] = nullptr;
  }
  json["torch_dtype"] = torch_dtype;
  json["use_cache"] = true;
  return json.dump(2) + "\n";
}

std::string generation_config(const ModelConfig& config) {
  Json json;
  json["_from_model_config"] = true;
  write_special_tokens(config, json);
  return json.dump(2) + "\n";
}

}  // namespace qad
