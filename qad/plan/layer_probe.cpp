#include "qad/plan/layer_probe.h"

#include <cmath>
#include <map>
#include <tuple>

#include "autograd/base/random.h"
#include "models/families/linear_shapes.h"
#include "models/families/registry.h"

namespace qad {
namespace {

constexpr std::int64_t kProbeWeights =
    1 << 24;  // of a larger layer, one that is narrower by the same factor throughout

// A model of one layer, which is like layer `index` of another.
ModelConfig layer_of(ModelConfig config, std::int64_t index) {
  const BlockConfig block = config.block(index);
  const bool has_experts = config.has_experts(index);
  config.sliding_window = config.window_of(index);
  config.max_window_layers = 0;
  config.num_hidden_layers = 1;
  if (!config.layer_pattern.empty()) config.layer_pattern = config.layer_kind(index);
  config.blocks.clear();
  if (block.num_key_value_heads > 0) config.num_key_value_heads = block.num_key_value_heads;
  if (block.intermediate_size > 0) config.intermediate_size = block.intermediate_size;
  if (block.num_key_value_heads == 0 || block.intermediate_size == 0) config.blocks = {block};
  if (!has_experts) config.experts.reset();
  if (config.experts) {
    config.experts->decoder_sparse_step = 1;
    config.experts->first_k_dense_replace = 0;
    config.experts->mlp_only_layers.clear();
  }
  return config;
}

// Less of what a config.json may say without end, so that what is narrower by a factor is small: heads' widths, the
// states of recurrences, experts that a token takes, queries that share keys. No model that there is changes by it.
ModelConfig bounded(ModelConfig config) {
  constexpr std::int64_t kProbeHead = 1024, kProbeRank = 4096, kProbeStates = 1 << 22, kProbeHeads = 4096,
                         kProbeGroup = 128, kProbeExperts = 16, kProbeTaken = 64;
  const auto bound = [](std::int64_t most, auto&... numbers) { ((numbers = std::min(numbers, most)), ...); };
  config.head_dim = config.head_size();
  if (config.head_dim > kProbeHead) config.partial_rotary_factor = 1;
  bound(kProbeHead, config.head_dim);
  bound(kProbeGroup * config.num_key_value_heads, config.num_attention_heads);
  if (config.latent_attention) {
    LatentAttentionConfig& latent = *config.latent_attention;
    bound(kProbeHead, latent.qk_nope_head_dim, latent.qk_rope_head_dim, latent.v_head_dim);
    bound(kProbeRank, latent.q_lora_rank, latent.kv_lora_rank);
  }
  if (config.experts) {
    ExpertsConfig& experts = *config.experts;
    bound(kProbeTaken, experts.num_experts_per_tok, experts.n_shared_experts);
    bound(std::max(kProbeExperts, experts.num_experts_per_tok), experts.num_experts);
    experts.n_group = experts.topk_group = 1;  // which of them are taken changes no time
  }
  const auto heads_with = [&](std::int64_t numbers) {
    return std::clamp(kProbeStates / numbers, std::int64_t{1}, kProbeHeads);
  };
  if (config.mamba) {
    MambaConfig& mamba = *config.mamba;
    bound(kProbeHead, mamba.head_dim, mamba.state_size);
    bound(heads_with(mamba.head_dim * mamba.state_size), mamba.num_heads);
    bound(mamba.num_heads, mamba.n_groups);
    mamba.num_heads = mamba.num_heads / mamba.n_groups * mamba.n_groups;
  }
  if (config.linear_attention) {
    LinearAttentionConfig& linear = *config.linear_attention;
    std::int64_t values = linear.num_value_heads / linear.num_key_heads;
    bound(kProbeHead, linear.key_head_dim, linear.value_head_dim);
    bound(heads_with(linear.key_head_dim * linear.value_head_dim), values);
    bound(heads_with(values * linear.key_head_dim * linear.value_head_dim), linear.num_key_heads);
    linear.num_value_heads = values * linear.num_key_heads;
  }
  return config;
}

double numbers_of(const ModelConfig& config) {
  double numbers = 0;
  for (const LinearShape& shape : linear_shapes(config))
    if (shape.name != "lm_head")
      numbers += static_cast<double>(shape.out_features) * static_cast<double>(shape.in_features);
  return numbers;
}

// Narrower by a factor throughout; widths stay multiples of what formats ask for.
ModelConfig narrower(ModelConfig config, double factor) {
  constexpr std::int64_t kMultiple = 256;
  const auto narrow = [&](std::int64_t width, std::int64_t multiple) {
    const auto wanted = static_cast<std::int64_t>(std::round(factor * static_cast<double>(width)));
    return std::min(width, std::max(multiple, wanted / multiple * multiple));
  };
  const std::int64_t group = config.num_attention_heads / config.num_key_value_heads;
  config.hidden_size = narrow(config.hidden_size, kMultiple);
  config.intermediate_size = narrow(config.intermediate_size, kMultiple);
  config.num_key_value_heads = narrow(config.num_key_value_heads, 1);
  config.num_attention_heads = config.num_key_value_heads * group;
  if (config.experts) {
    ExpertsConfig& experts = *config.experts;
    for (std::int64_t* width :
         {&experts.moe_intermediate_size, &experts.shared_expert_intermediate_size, &experts.moe_latent_size})
      if (*width > 0) *width = narrow(*width, kMultiple);
  }
  if (config.mamba) {
    MambaConfig& mamba = *config.mamba;
    mamba.n_groups = std::min(mamba.n_groups, narrow(mamba.num_heads, 1));
    mamba.num_heads = narrow(mamba.num_heads, mamba.n_groups);
  }
  if (config.linear_attention) {
    LinearAttentionConfig& linear = *config.linear_attention;
    const std::int64_t values = linear.num_value_heads / linear.num_key_heads;
    linear.num_key_heads = narrow(linear.num_key_heads, 1);
    linear.num_value_heads = values * linear.num_key_heads;
  }
  for (BlockConfig& block : config.blocks) {
    if (block.num_key_value_heads > 0) block.num_key_value_heads = config.num_key_value_heads;
    if (block.intermediate_size > 0) block.intermediate_size = config.intermediate_size;
  }
  return config;
}

// One like it that any machine has room for. More than once where one of two widths is as narrow as it gets.
ModelConfig narrowed(ModelConfig config) {
  config = bounded(std::move(config));
  double most = kProbeWeights;
  for (int times = 0; times < 8; ++times) {
    const double numbers = numbers_of(config);
    if (numbers <= most) break;
    config = narrower(std::move(config), std::sqrt(static_cast<double>(kProbeWeights) / numbers));
    most = 4.0 * kProbeWeights;
  }
  return config;
}

}  // namespace

Tensor random_tensor(const Shape& shape, double deviation) {
  static const std::vector<double> table = [] {
    std::vector<double> values(65521);
    Random random(1, stream_of("plan"));
    for (double& value : values) value = random.normal();
    return values;
  }();
  const Tensor tensor(shape);
  std::size_t next = 0;
  for (float& value : tensor.span()) {
    value = static_cast<float>(deviation * table[next]);
    next = next + 1 == table.size() ? 0 : next + 1;
  }
  return tensor;
}

double met_weights(const ModelConfig& config) {
  double weights = 0;
  std::vector<LinearShape> shapes = linear_shapes(config);
  shapes.pop_back();  // the head
  for (const LinearShape& shape : shapes)
    weights += shape.token_share * static_cast<double>(shape.out_features) * static_cast<double>(shape.in_features);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) weights += static_cast<double>(config.state_numbers(i));
  return weights;
}

std::vector<LayerKind> layer_kinds(const ModelConfig& config) {
  std::map<std::tuple<bool, bool, bool, bool, bool, bool, char>, LayerKind> kinds;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const ModelConfig layer = layer_of(config, i);
    const BlockConfig block = layer.block(0);
    const auto parts =
        std::tuple(block.num_key_value_heads > 0, block.intermediate_size > 0, layer.experts.has_value(),
                   layer.sliding_window > 0, block.linear_attention, block.linear_feed_forward, layer.layer_kind(0));
    const auto kind = kinds.try_emplace(parts, LayerKind{i, narrowed(layer)}).first;
    if (const double of_probe = met_weights(kind->second.probe); of_probe > 0)
      kind->second.times += met_weights(layer) / of_probe;
  }
  std::vector<LayerKind> result;
  for (auto& [parts, kind] : kinds)
    if (kind.times > 0) result.push_back(std::move(kind));
  return result;
}

std::unique_ptr<LanguageModel> probe_model(ModelConfig config, bool trained) {
  config.vocab_size = std::min(config.vocab_size, kProbeVocabulary);
  config.tie_word_embeddings = true;
  return make_model(config, [trained](const ParameterSpec& spec) {
    const Tensor value = spec.role == Role::norm ? Tensor::full(spec.shape, 1.0f) : random_tensor(spec.shape, 0.02);
    return make_parameter(spec.name, trained ? value : value.to(DType::bf16), trained);
  });
}

ModelConfig emptied(ModelConfig config) {
  config.num_hidden_layers = 0;
  config.layer_pattern.clear();
  config.blocks.clear();
  return config;
}

ModelConfig empty_probe(const ModelConfig& config) { return emptied(narrowed(layer_of(config, 0))); }

}  // namespace qad
