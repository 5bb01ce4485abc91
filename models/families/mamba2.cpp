// Mamba-2: a recurrence in every layer, nothing else.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/families/backbone_kind.h"
#include "models/families/common_keys.h"
#include "models/families/hybrid_gguf.h"
#include "models/families/hybrid_keys.h"

namespace qad {
namespace {

// The class names no longest context: a recurrence has none.
constexpr std::int64_t kContext = std::int64_t{1} << 20;

void read_keys(const ConfigReader& config_json, ModelConfig& config) {
  const auto size = [&](const char* key, std::int64_t fallback) { return config_json.whole(key, fallback, 1); };
  check_activation(config_json);
  config.vocab_size = size("vocab_size", 32768);
  config.hidden_size = size("hidden_size", 4096);
  config.num_hidden_layers = read_layer_count(config_json, 64);
  config.max_position_embeddings = size("max_position_embeddings", kContext);
  MambaConfig& mamba = config.mamba.emplace();
  mamba.num_heads = size("num_heads", 128);
  mamba.head_dim = size("head_dim", 64);
  mamba.state_size = size("state_size", 128);
  mamba.n_groups = size("n_groups", 8);
  mamba.conv_kernel = config_json.whole("conv_kernel", 4, 2);
  mamba.conv_bias = config_json.flag("use_conv_bias", true);
  mamba.proj_bias = config_json.flag("use_bias", false);
  read_time_steps(config_json, mamba);
  // transformers' class opens no other than a whole number.
  if (const std::int64_t expand = config_json.whole("expand", 2, 1);
      mamba.inner() % expand != 0 || mamba.inner() / expand != config.hidden_size)
    config_json.refuse("expand", "an expand, which is a whole number, that makes hidden_size " +
                                     std::to_string(config.hidden_size) + " num_heads times head_dim, " +
                                     std::to_string(mamba.inner()));
  if (!config_json.flag("rms_norm", true)) config_json.refuse("rms_norm", "rms_norm to be true");
  refuse_if_true(config_json, {"norm_before_gate"});
  read_numbers(config_json, config);
  config.rms_norm_eps = config_json.at_least(0, "layer_norm_epsilon", 1e-5);
  config.initializer_range = config_json.at_least(0, "initializer_range", 0.1);
  read_special_tokens(config_json, config);
  config.check(config_json.who());
}

void write_keys(const ModelConfig& config, nlohmann::ordered_json& config_json) {
  const MambaConfig mamba = config.mamba.value_or(MambaConfig());
  config_json["vocab_size"] = config.vocab_size;
  config_json["hidden_size"] = config.hidden_size;
  config_json["num_hidden_layers"] = config.num_hidden_layers;
  config_json["max_position_embeddings"] = config.max_position_embeddings;
  config_json["num_heads"] = mamba.num_heads;
  config_json["head_dim"] = mamba.head_dim;
  config_json["state_size"] = mamba.state_size;
  config_json["n_groups"] = mamba.n_groups;
  config_json["conv_kernel"] = mamba.conv_kernel;
  config_json["use_conv_bias"] = mamba.conv_bias;
  config_json["use_bias"] = mamba.proj_bias;
  config_json["expand"] = std::max<std::int64_t>(1, mamba.inner() / config.hidden_size);
  // Without the key it is [0, infinity], which JSON can't say.
  if (std::isfinite(mamba.time_step_high)) config_json["time_step_limit"] = {mamba.time_step_low, mamba.time_step_high};
  config_json["hidden_act"] = "silu";
  config_json["layer_norm_epsilon"] = config.rms_norm_eps;
  config_json["initializer_range"] = config.initializer_range;
  config_json["residual_in_fp32"] = true;
  config_json["tie_word_embeddings"] = config.tie_word_embeddings;
  write_special_tokens(config, config_json);
}

}  // namespace

extern constinit const Family kMamba2 = {.model_type = "mamba2",
                                         .architecture = "Mamba2ForCausalLM",
                                         .other_names = kBackboneOtherNames,
                                         .read = read_keys,
                                         .write = write_keys,
                                         .make = make_backbone_kind,
                                         .gguf = &kMamba2Gguf};

}  // namespace qad
