#include "bench/step/workload.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/random.h"
#include "data/files/hdf5_file.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "qad/calib/calibrate.h"

namespace qad::bench {
namespace {

constexpr std::uint64_t kSeed = 1;

ModelConfig llama(std::int64_t hidden, std::int64_t layers, std::int64_t ffn, std::int64_t vocabulary) {
  ModelConfig config;
  config.vocab_size = vocabulary;
  config.hidden_size = hidden;
  config.intermediate_size = ffn;
  config.num_hidden_layers = layers;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 4;
  return config;
}

ModelConfig qwen3(std::int64_t layers) {
  ModelConfig config = llama(1024, layers, 3072, 151936);
  config.model_type = "qwen3";
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  config.qk_norm = true;
  config.rope_theta = 1e6;
  return config;
}

// About 30M parameters each, with the proportions of the published ones: experts that a token doesn't go to are most of
// them.
ModelConfig sparse(const std::string& model_type, std::int64_t layers) {
  ModelConfig config = llama(384, layers, 1536, 8192);
  config.model_type = model_type;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 64;
  config.tie_word_embeddings = false;
  config.experts = ExpertsConfig{.num_experts = 32, .num_experts_per_tok = 4, .moe_intermediate_size = 160};
  return config;
}

void set_layers(ModelConfig& config, const std::string& pattern) {
  config.layer_pattern = pattern;
  config.num_hidden_layers = static_cast<std::int64_t>(pattern.size());
}

// Nemotron 3 Nano has 23 layers with Mamba-2, 23 with experts and 6 with attention.
ModelConfig nemotron_h() {
  ModelConfig config = sparse("nemotron_h", 0);
  set_layers(config, "MEMEM*EME");
  config.rms_norm_eps = 1e-5;
  config.mamba = MambaConfig{.num_heads = 8, .head_dim = 64, .state_size = 128, .n_groups = 2};
  config.experts->moe_intermediate_size = 192;
  config.experts->scoring_func = ScoringFunction::sigmoid;
  config.experts->n_shared_experts = 1;
  config.experts->shared_expert_intermediate_size = 384;
  config.experts->routed_scaling_factor = 2.5;
  return config;
}

ModelConfig kimi_linear() {
  ModelConfig config = sparse("kimi_linear", 0);
  set_layers(config, "LLL*");
  config.rms_norm_eps = 1e-5;
  config.num_attention_heads = config.num_key_value_heads = 4;
  config.linear_attention =
      LinearAttentionConfig{.num_key_heads = 4, .num_value_heads = 4, .key_head_dim = 128, .value_head_dim = 128};
  config.latent_attention =
      LatentAttentionConfig{.kv_lora_rank = 128, .qk_nope_head_dim = 128, .qk_rope_head_dim = 64, .v_head_dim = 128};
  config.experts->scoring_func = ScoringFunction::sigmoid;
  config.experts->n_shared_experts = 1;
  config.experts->first_k_dense_replace = 1;
  config.experts->routed_scaling_factor = 2.446;
  return config;
}

ModelConfig qwen3_moe() {
  ModelConfig config = sparse("qwen3_moe", 4);
  config.qk_norm = true;
  config.rope_theta = 1e6;
  return config;
}

// Its heads have the sizes of N's.
ModelConfig mamba2() {
  ModelConfig config;
  config.model_type = "mamba2";
  config.vocab_size = 4096;
  config.hidden_size = 256;
  config.num_hidden_layers = 4;
  config.max_position_embeddings = 8192;
  config.rms_norm_eps = 1e-5;
  config.tie_word_embeddings = false;
  config.mamba = MambaConfig{.num_heads = 8, .head_dim = 64, .state_size = 128, .n_groups = 2};
  return config;
}

// 6 of 128 experts of width 256 for each token, or one feed-forward layer of as many.
ModelConfig many_experts(bool dense) {
  ModelConfig config = llama(512, 2, 6 * 256, 4096);
  config.model_type = dense ? "qwen3" : "qwen3_moe";
  config.head_dim = 64;
  config.qk_norm = true;
  config.rope_theta = 1e6;
  if (!dense)
    config.experts = ExpertsConfig{.num_experts = 128, .num_experts_per_tok = 6, .moe_intermediate_size = 256};
  return config;
}

// That of bench/load.
ModelConfig billion() {
  ModelConfig config = llama(2048, 24, 5632, 258);
  config.num_attention_heads = 16;
  return config;
}

// model.layers.12.mlp.up_proj.weight: that of layer 0.
std::string in_first_layer(const std::string& name) {
  const std::string layers = "model.layers.";
  if (!name.starts_with(layers)) return name;
  return layers + "0" + name.substr(name.find('.', layers.size()));
}

// The same weights as a mapped file, whose folder is gone already: memory that the system may take back at any time.
std::unique_ptr<LanguageModel> mapped(LanguageModel& model) {
  std::string folder = (std::filesystem::temp_directory_path() / "qad_bench_step.XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw Error({.who = folder, .got = std::strerror(errno)});
  save_model(folder, model, DType::bf16);
  auto result = load_model(folder, WeightType::bf16);
  std::filesystem::remove_all(folder);
  return result;
}

}  // namespace

QuantizeConfig w4a4() {
  QuantizeConfig config;
  config.rules = {{"*", "nvfp4", "nvfp4"}, {"lm_head", "none", "none"}};
  return config;
}

Workload workload(const std::string& name) {
  if (name == "S") return {name, llama(256, 6, 768, 2048), 16, 128};
  if (name == "M") return {name, llama(512, 8, 1536, 8192), 8, 256};
  if (name == "V") return {name, qwen3(4), 2, 512};
  if (name == "L") return {name, qwen3(28), 1, 512};
  if (name == "P") {
    Workload paper{name, llama(128, 6, 384, 258), 32, 128};
    paper.model.num_attention_heads = 4;
    paper.model.num_key_value_heads = 2;
    return paper;
  }
  if (name == "D") {
    Workload decoding{name, llama(1024, 14, 2304, 50304), 1, 128};
    decoding.model.num_attention_heads = 16;
    decoding.model.num_key_value_heads = 16;
    decoding.model.max_position_embeddings = 2048;
    decoding.model.bos_token_id = 50256;  // of GPT-2
    decoding.model.eos_token_id = {50256};
    return decoding;
  }
  if (name == "N") return {name, nemotron_h(), 4, 512};
  if (name == "K") return {name, kimi_linear(), 4, 512};
  if (name == "E") return {name, qwen3_moe(), 4, 512};
  if (name == "R") return {name, mamba2(), 1, 8192};
  if (name == "X" || name == "Xdense") return {name, many_experts(name != "X"), 16, 512};
  if (name == "XL") return {name, billion(), 2, 512, true};
  throw Error({.who = "--workload",
               .expected = "S | M | V | L | P | D | N | K | E | R | X | Xdense | XL",
               .got = "\"" + name + "\""},
              ExitCode::usage);
}

std::vector<TokenBatch> random_batches(const Workload& workload, std::int64_t count) {
  Random random(kSeed, stream_of("bench tokens"));
  std::vector<TokenBatch> batches(static_cast<std::size_t>(count));
  for (TokenBatch& batch : batches) {
    for (std::int64_t s = 0; s < workload.batch; ++s) {
      const auto begin = static_cast<std::int32_t>(s * workload.length);
      batch.segments.push_back({begin, begin + static_cast<std::int32_t>(workload.length)});
      batch.document.push_back(s);
      for (std::int64_t t = 0; t < workload.length; ++t) {
        batch.ids.push_back(static_cast<std::int32_t>(random.below(workload.model.vocab_size)));
        batch.positions.push_back(static_cast<std::int32_t>(t));
      }
    }
    batch.labels.assign(batch.ids.size(), kNoLabel);
    batch.valid.assign(batch.ids.size(), 1);
  }
  return batches;
}

Models make_models(const Workload& workload, bool quantized, const std::vector<TokenBatch>& batches) {
  Models models;
  {
    // Large enough that quantization changes what the model says, and small enough that a code which two
    // implementations round differently does not change most codes after it: their losses can be compared.
    ModelConfig config = workload.model;
    config.initializer_range = 0.5 / std::sqrt(static_cast<double>(config.hidden_size));
    config.num_hidden_layers = std::max<std::int64_t>(1, config.num_hidden_layers);  // no layers: head and loss alone
    if (workload.is_large) config.num_hidden_layers = 1;  // all layers have its values, which take a while to draw
    const auto fresh = initialize_model(config, kSeed);
    std::map<std::string, ParameterPointer> parameters;
    for (const ParameterPointer& parameter : fresh->parameters()) parameters[parameter->name] = parameter;
    models.teacher = make_model(workload.model, [&](const ParameterSpec& spec) {
      return make_parameter(
          spec.name, parameters.at(workload.is_large ? in_first_layer(spec.name) : spec.name)->value().to(DType::bf16),
          false);
    });
  }
  if (workload.is_large) models.teacher = mapped(*models.teacher);
  release_cached_storage();
  models.student = trainable_copy(*models.teacher);
  release_cached_storage();  // what only making them needed is no part of a step's memory
  if (!quantized) return models;
  models.quantizers = attach_quantizers(*models.student, w4a4());
  calibrate(*models.student, models.quantizers, {batches.front()}, {TensorScaleSource::calibration});
  return models;
}

TrainConfig train_config(const Workload& workload) {
  TrainConfig config;
  config.batch_size = workload.batch;
  config.lr = 1e-5;  // small, so that what rounds another way does not lead the steps of two implementations apart
  config.schedule = Schedule::constant;
  return config;
}

void dump(const std::filesystem::path& folder, const Workload& workload, const Models& models,
          const std::vector<TokenBatch>& batches) {
  save_model(folder / "teacher", *models.teacher, DType::bf16);

  const Tensor ids({static_cast<std::int64_t>(batches.size()) * workload.tokens()}, DType::i32);
  std::int32_t* next = ids.data<std::int32_t>();
  for (const TokenBatch& batch : batches) next = std::ranges::copy(batch.ids, next).out;
  Hdf5Writer tokens(folder / "tokens.h5");
  tokens.write_tensor("ids", ids);
  tokens.close();

  const TrainConfig train = train_config(workload);
  nlohmann::ordered_json step = {
      {"workload", workload.name},
      {"batch", workload.batch},
      {"length", workload.length},
      {"lr", train.lr},
      {"clip_norm", train.clip_norm},
      {"beta1", train.adamw.beta1},
      {"beta2", train.adamw.beta2},
      {"epsilon", train.adamw.epsilon},
      {"weight_decay", train.adamw.weight_decay},
      {"unquantized", enum_name(models.quantizers.empty() ? UnquantizedType::fp32 : w4a4().unquantized)}};
  for (const LinearQuantizers& linear : models.quantizers.linears())
    if (linear.weights && linear.inputs)
      step["tensor_scales"][linear.layer] = {{"weight", linear.weights->scale().value()},
                                             {"input", linear.inputs->scale().value()}};
  write_file_atomically(folder / "step.json", step.dump(1) + "\n");
}

}  // namespace qad::bench
