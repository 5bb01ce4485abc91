#include "models/prune/pruned_sizes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>

#include "models/families/hf_config.h"
#include "models/families/registry.h"

namespace qad {
namespace {

struct Size {
  const char* key;
  std::int64_t has, wish;
  std::int64_t step;     // the wish is a multiple of it
  const char* of;        // what the step is made of
  std::string obstacle;  // why nothing of it can go; empty: it can
  const char* hint = "prune something else of it";
};

bool has_feed_forward(const ModelConfig& config) {
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    if (config.mamba ? config.layer_kind(i) == layer_letter::feed_forward : !config.has_experts(i)) return true;
  return false;
}

// Whether any layer may go and the config says the same of those that stay.
bool layers_are_alike(const ModelConfig& config) {
  for (std::int64_t i = 1; i < config.num_hidden_layers; ++i)
    if (config.layer_kind(i) != config.layer_kind(0) || config.has_experts(i) != config.has_experts(0) ||
        config.window_of(i) != config.window_of(0))
      return false;
  return config.blocks.empty();
}

// What nothing here can cut, by the layer that can't be cut.
std::string uncut_layers(const ModelConfig& config) {
  if (!config.blocks.empty()) return "layers whose sizes differ";
  if (config.latent_attention) return "latent attention";
  if (config.linear_attention) return "linear attention";
  return "";
}

std::vector<Size> sizes_of(const ModelConfig& config, const PruneConfig& prune) {
  const std::int64_t head = config.head_size(), groups = config.num_key_value_heads;
  const auto in_steps = [&](std::int64_t width) { return prune.multiple / std::gcd(prune.multiple, width); };
  const std::string uncut = uncut_layers(config);
  const std::string no_attention = config.has_attention() ? "" : "no attention";
  const std::string attention = config.linear_attention && !config.latent_attention ? "" : uncut;
  const std::string experts = config.experts ? "" : "no experts", mamba = config.mamba ? "" : "no Mamba-2 layers";
  const std::int64_t kept_groups = prune.num_key_value_heads > 0 ? prune.num_key_value_heads : groups;
  std::vector<Size> sizes = {
      {"num_hidden_layers", config.num_hidden_layers, prune.num_hidden_layers, 1, "",
       layers_are_alike(config) ? "" : "layers of several kinds", "prune.layers names those that stay"},
      {"hidden_size", config.hidden_size, prune.hidden_size, prune.multiple, "prune.multiple", uncut},
      {"intermediate_size", config.intermediate_size, prune.intermediate_size, prune.multiple, "prune.multiple",
       !config.blocks.empty()     ? uncut
       : has_feed_forward(config) ? ""
                                  : "no feed-forward layers"},
      {"num_key_value_heads", groups, prune.num_key_value_heads, 1, "",
       no_attention.empty() ? attention : no_attention},
      {"num_attention_heads", config.num_attention_heads, prune.num_attention_heads,
       std::lcm(kept_groups, in_steps(head)),
       "the key/value heads, which prune.num_key_value_heads prunes, and prune.multiple over head_dim",
       no_attention.empty() ? attention : no_attention},
      {"num_experts", 0, prune.num_experts, 1, "", experts},
      {"moe_intermediate_size", 0, prune.moe_intermediate_size, prune.multiple, "prune.multiple", experts},
      {"mamba_num_heads", 0, prune.mamba_num_heads, 1, "", mamba},
  };
  if (config.experts) {
    sizes[5].has = config.experts->num_experts;
    sizes[5].step = config.experts->n_group, sizes[5].of = "n_group";
    sizes[6].has = config.experts->moe_intermediate_size;
  }
  if (config.mamba) {
    sizes[7].has = config.mamba->num_heads;
    sizes[7].step = std::lcm(config.mamba->n_groups, in_steps(config.mamba->head_dim));
    sizes[7].of = "n_groups, and prune.multiple over the width of a head";
  }
  return sizes;
}

std::string nearest(const Size& size) {
  const std::int64_t below = size.wish / size.step * size.step, above = below + size.step;
  if (below > 0 && above <= size.has) return fmt::format("the nearest are {} and {}", below, above);
  if (below > 0) return fmt::format("the nearest is {}", below);
  return above <= size.has ? fmt::format("the nearest is {}", above) : "there is none: leave it as it is";
}

std::vector<Problem> refusals_of(const Size& size) {
  if (size.wish == 0 || (size.wish == size.has && size.obstacle.empty())) return {};
  const std::string who = fmt::format("prune.{}", size.key);
  const std::string got = std::to_string(size.wish);
  if (!size.obstacle.empty()) return {{who, fmt::format("no size for a model with {}", size.obstacle), got, size.hint}};
  if (size.wish > size.has)
    return {{who, fmt::format("at most the model's own {}", size.has), got, "pruning makes nothing wider"}};
  if (size.wish % size.step != 0)
    return {{who, fmt::format("a multiple of {} ({})", size.step, size.of), got, nearest(size)}};
  return {};
}

// The layers of which the config says something each.
void keep_layers(const std::vector<std::int64_t>& layers, ModelConfig& config) {
  const ModelConfig before = config;
  config.num_hidden_layers = std::ssize(layers);
  config.max_window_layers =
      std::ranges::count_if(layers, [&](std::int64_t i) { return i < before.max_window_layers; });
  if (before.sliding_window == 0) config.max_window_layers = before.max_window_layers;
  if (!before.layer_pattern.empty()) {
    config.layer_pattern.clear();
    for (const std::int64_t i : layers) config.layer_pattern += before.layer_kind(i);
    const auto goes = [&](char letter) {
      return before.layer_pattern.find(letter) != std::string::npos &&
             config.layer_pattern.find(letter) == std::string::npos;
    };
    if (goes(layer_letter::experts)) config.experts.reset();
    if (goes(layer_letter::mamba)) config.mamba.reset();
    if (goes(layer_letter::linear_attention)) config.linear_attention.reset();
  }
  if (!before.blocks.empty()) {
    config.blocks.clear();
    config.num_key_value_heads = config.intermediate_size = 0;
    for (const std::int64_t i : layers) {
      const BlockConfig& block = config.blocks.emplace_back(before.block(i));
      config.num_key_value_heads = std::max(config.num_key_value_heads, block.num_key_value_heads);
      config.intermediate_size = std::max(config.intermediate_size, block.intermediate_size);
    }
  }
  if (!before.experts || before.layer_pattern.find(layer_letter::experts) != std::string::npos) return;
  ExpertsConfig& experts = *config.experts;
  std::vector<std::int64_t> dense;
  for (std::int64_t i = 0; i < std::ssize(layers); ++i)
    if (!before.has_experts(layers[static_cast<std::size_t>(i)])) dense.push_back(i);
  experts.decoder_sparse_step = 1;
  experts.first_k_dense_replace = 0;
  while (before.experts->first_k_dense_replace > 0 && !dense.empty() &&
         dense.front() == experts.first_k_dense_replace) {
    dense.erase(dense.begin());
    ++experts.first_k_dense_replace;
  }
  experts.mlp_only_layers = dense;
}

ModelConfig with_sizes(ModelConfig config, const PruneConfig& prune) {
  const auto set = [](std::int64_t& size, std::int64_t wish) {
    if (wish > 0) size = wish;
  };
  if (config.has_attention() && !config.latent_attention) config.head_dim = config.head_size();
  std::vector<std::int64_t> layers = prune.layers;
  if (layers.empty() && prune.num_hidden_layers > 0) {  // any of them, as they are alike
    layers.resize(static_cast<std::size_t>(prune.num_hidden_layers));
    std::iota(layers.begin(), layers.end(), 0);
  }
  if (!layers.empty()) keep_layers(layers, config);
  set(config.hidden_size, prune.hidden_size);
  set(config.intermediate_size, prune.intermediate_size);
  set(config.num_attention_heads, prune.num_attention_heads);
  set(config.num_key_value_heads, prune.num_key_value_heads);
  if (config.experts) set(config.experts->num_experts, prune.num_experts);
  if (config.experts) set(config.experts->moe_intermediate_size, prune.moe_intermediate_size);
  if (config.experts && family_of(config.model_type, "prune").one_width)
    config.intermediate_size = config.experts->moe_intermediate_size;
  if (config.mamba) set(config.mamba->num_heads, prune.mamba_num_heads);
  return config;
}

}  // namespace

std::vector<Problem> prune_refusals(const ModelConfig& config, const PruneConfig& prune) {
  std::vector<Problem> problems;
  bool says_any = prune.method == PruneMethod::fresh || !prune.layers.empty();
  if (!prune.layers.empty()) {
    const std::int64_t count = config.num_hidden_layers;
    if (prune.num_hidden_layers > 0)
      problems.push_back({"prune.num_hidden_layers", "none beside prune.layers",
                          std::to_string(prune.num_hidden_layers), "the layers that stay are named"});
    if (std::ranges::adjacent_find(prune.layers, std::greater_equal()) != prune.layers.end() ||
        prune.layers.back() >= count)
      problems.push_back({"prune.layers", fmt::format("layers from 0 to {} in their order, each once", count - 1),
                          fmt::format("{}", fmt::join(prune.layers, ", ")), ""});
  }
  for (const Size& size : sizes_of(config, prune)) {
    says_any |= size.wish > 0;
    for (Problem& problem : refusals_of(size)) problems.push_back(std::move(problem));
  }
  if (!says_any) problems.push_back({"prune", "a size, such as intermediate_size", "none", ""});
  const std::int64_t per_group = config.num_attention_heads / config.num_key_value_heads;
  if (const std::int64_t groups = prune.num_key_value_heads, heads = prune.num_attention_heads;
      problems.empty() && groups > 0) {
    const std::int64_t whole = groups * per_group;
    if (heads == 0 || heads > whole)
      problems.push_back({"prune.num_attention_heads",
                          fmt::format("at most the {} of {} key/value heads", whole, groups),
                          heads == 0 ? "none" : std::to_string(heads), "key/value heads go with their query heads"});
  }
  if (!problems.empty()) return problems;
  try {
    check_expressible(with_sizes(config, prune), "");
  } catch (const Error& error) {
    problems.push_back({.who = "prune", .got = error.what()});
  }
  return problems;
}

ModelConfig pruned_config(const ModelConfig& config, const PruneConfig& prune) {
  const std::vector<Problem> problems = prune_refusals(config, prune);
  if (!problems.empty()) throw Error(problems.front(), ExitCode::usage);
  return with_sizes(config, prune);
}

bool same_sizes(const ModelConfig& a, const ModelConfig& b) {
  const auto sizes = [](const ModelConfig& c) {
    const ExpertsConfig experts = c.experts.value_or(ExpertsConfig{});
    return std::tuple(c.num_hidden_layers, c.hidden_size, c.intermediate_size, c.num_attention_heads,
                      c.num_key_value_heads, c.head_size(), experts.num_experts, experts.moe_intermediate_size,
                      c.mamba);
  };
  return sizes(a) == sizes(b);
}

}  // namespace qad
