#include "models/families/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/place.h"
#include "data/files/json_file.h"
#include "models/families/block_configs.h"
#include "models/families/config_keys.h"
#include "models/families/config_reader.h"
#include "models/families/generation_config.h"
#include "models/families/hf_rope.h"
#include "models/families/registry.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = ConfigReader::Json;

constexpr std::int64_t kDefaultWindow = 4096, kDefaultMaxWindowLayers = 28;  // of all families that have windows

Json parse_object(const std::string& text, const std::string& who) {
  Json json = parse_python_json(text, who);
  if (!json.is_object()) throw Error({who, "a JSON object", "something else", ""});
  return json;
}

// One id, several or none; -1 is none.
std::vector<std::int64_t> read_eos(const ConfigReader& read) {
  std::vector<std::int64_t> ids = read.wholes("eos_token_id", -1);
  std::erase(ids, -1);
  return ids;
}

void read_sizes(const ConfigReader& read, const Family& family, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return read.whole(key, fallback, 1); };
  config.vocab_size = size("vocab_size", family.vocab_size);
  config.hidden_size = size("hidden_size", family.hidden_size);
  config.num_hidden_layers = size("num_hidden_layers", family.num_hidden_layers);
  config.num_attention_heads = size("num_attention_heads", family.num_attention_heads);
  config.max_position_embeddings = size("max_position_embeddings", family.max_position_embeddings);
  config.head_dim = size("head_dim", family.head_dim);
  if (family.has_blocks) return read_blocks(read, config);
  if (read.has("block_configs") && !read.at("block_configs").empty())
    throw Error({read.who(), "block_configs not to be there", "model_type " + config.model_type,
                 "it is nemotron-nas that has them"});
  if (read.has("intermediate_size") && !read.says("intermediate_size"))
    read.refuse("intermediate_size", "a value for intermediate_size", "leave the key out for the family's own");
  config.intermediate_size = size("intermediate_size", family.intermediate_size);
  const bool as_many_as_heads = read.has("num_key_value_heads") || family.num_key_value_heads == 0;
  config.num_key_value_heads =
      size("num_key_value_heads", as_many_as_heads ? config.num_attention_heads : family.num_key_value_heads);
}

// What layer_types say must be what is read: all layers without a window, all with one, or the later ones with one.
void read_layer_types(const ConfigReader& read, WindowRule rule, ModelConfig& config) {
  const std::vector<std::string> types = read.texts("layer_types");
  if (!read.says("layer_types")) return;
  const auto first = std::ranges::find(types, "sliding_attention");
  const auto are_all = [](auto begin, auto end, const char* name) {
    return std::all_of(begin, end, [&](const std::string& type) { return type == name; });
  };
  const bool ordered = std::ssize(types) == config.num_hidden_layers &&
                       are_all(types.begin(), first, "full_attention") &&
                       are_all(first, types.end(), "sliding_attention");
  if (!ordered)
    read.refuse("layer_types", "layer_types of all layers, full_attention first and then sliding_attention",
                "other orders are not supported");
  const std::int64_t without = first - types.begin();
  if (without < config.num_hidden_layers && config.sliding_window == 0)
    read.refuse("layer_types", "full_attention alone in layer_types of a model without a sliding window");
  if (rule == WindowRule::every_layer && without > 0 && config.sliding_window > 0)
    read.refuse("layer_types", "sliding_attention in all layer_types, as sliding_window says");
  if (rule == WindowRule::later_layers) config.max_window_layers = without;
}

void read_window(const ConfigReader& read, WindowRule rule, ModelConfig& config) {
  const bool is_optional = rule == WindowRule::later_layers || rule == WindowRule::all_if_used;
  const bool windowed = rule == WindowRule::every_layer || (is_optional && read.flag("use_sliding_window", false));
  const bool is_null = read.has("sliding_window") && !read.says("sliding_window");
  if (windowed && !is_null) config.sliding_window = read.whole("sliding_window", kDefaultWindow, 1);
  if (rule == WindowRule::later_layers)
    config.max_window_layers = read.whole("max_window_layers", kDefaultMaxWindowLayers, 0);
  read_layer_types(read, rule, config);
}

// transformers 5 writes num_local_experts where publishers write num_experts.
void read_experts(const ConfigReader& read, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return read.whole(key, fallback, 1); };
  ExpertsConfig& experts = config.experts.emplace();
  experts.num_experts = size(read.says("num_local_experts") ? "num_local_experts" : "num_experts", 128);
  if (read.says("num_experts") && size("num_experts", 128) != experts.num_experts)
    read.refuse("num_experts", "as many num_experts as num_local_experts");
  experts.num_experts_per_tok = size("num_experts_per_tok", 8);
  experts.moe_intermediate_size = size("moe_intermediate_size", 768);
  experts.decoder_sparse_step = size("decoder_sparse_step", 1);
  experts.norm_topk_prob = read.flag("norm_topk_prob", false);
  experts.mlp_only_layers = read.wholes("mlp_only_layers", 0);
}

void read_activation(const ConfigReader& read) {
  const std::string name = read.text("hidden_act", "silu");  // which is swish
  if (name != "silu" && name != "swish") read.refuse("hidden_act", "hidden_act silu");
}

}  // namespace

ModelConfig parse_hf_config(const std::string& text, const std::string& who) {
  const Json json = parse_object(text, who);
  const ConfigReader read(json, who);
  ModelConfig config;
  config.model_type = read.text("model_type", "");
  const Family& family = family_of(config.model_type, who);
  check_keys(read, family.model_type);
  read_activation(read);
  read_sizes(read, family, config);
  config.rms_norm_eps = read.at_least(0, "rms_norm_eps", 1e-6);
  config.initializer_range = read.at_least(0, "initializer_range", 0.02);
  config.tie_word_embeddings = read.flag("tie_word_embeddings", false);
  config.qk_norm = family.qk_norm;
  if (family.has_experts) read_experts(read, config);
  config.attention_output_bias = family.says_attention_bias && read.flag("attention_bias", false);
  config.attention_bias = family.query_bias || config.attention_output_bias;
  config.mlp_bias = family.says_mlp_bias && read.flag("mlp_bias", false);
  config.bos_token_id = read.whole("bos_token_id", -1, -1);
  config.eos_token_id = read_eos(read);
  config.check(who);
  read_window(read, family.window, config);
  read_rope(read, config);
  return config;
}

std::string download_hint(const fs::path& folder) {
  // A recipe's path is absolute by now: what the user wrote is its end.
  const std::string name = folder.lexically_proximate(fs::current_path()).string();
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; };
  const std::size_t slash = name.find('/');
  const bool reads_like_one = slash != std::string::npos && slash + 1 < name.size() && name.rfind('/') == slash &&
                              is_plain(name.front()) &&
                              std::ranges::all_of(name, [&](char c) { return is_plain(c) || c == '.' || c == '/'; });
  if (!reads_like_one || fs::exists(folder)) return "";
  return fmt::format("if it is on the hub: hf download {} --local-dir {}", name, name);
}

void check_model_folder(const fs::path& folder) {
  const Place there = place_at(folder);
  if (there == Place::folder) return;
  throw Error({folder.string(), "a model's folder (config.json and safetensors)", what_is_at(folder),
               there == Place::nothing ? download_hint(folder) : ""},
              ExitCode::usage);
}

ModelConfig read_hf_config(const fs::path& folder) {
  check_model_folder(folder);
  const fs::path file = folder / "config.json";
  ModelConfig config = parse_hf_config(read_file(file, "a model's config.json"), file.string());
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation))
    use_end_tokens(read_file(generation, "a model's generation_config.json"), generation.string(), config);
  return config;
}

void check_plain_model(const fs::path& folder) {
  const fs::path file = folder / "config.json", modelopt = folder / "hf_quant_config.json";
  const Json json = parse_object(read_file(file, "a model's config.json"), file.string());
  const ConfigReader read(json, file.string());
  check_not_quantized(read);
  const std::string type = read.text("model_type", "");
  if (read.says("auto_map") && !family_of(type, file.string()).has_blocks)  // the code of those is what is here
    log_warning("{}: auto_map names code beside it, which is not run: the model is read as transformers' {}",
                file.string(), family_of(type, file.string()).architecture);
  if (fs::exists(modelopt))
    throw Error({modelopt.string(), "a model in a floating type", "one that ModelOpt has quantized", kUnpackedHint});
}

}  // namespace qad
