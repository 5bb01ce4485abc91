#include "models/model_config.h"

#include "autograd/base/error.h"
#include "models/limits.h"

namespace qad {
namespace {

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;  // of a width

// What layers of other kinds need: refuse(expected, got) for what does not fit.
template <class Refuse>
void check_layers(const ModelConfig& config, Refuse&& refuse) {
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  if (!config.layer_pattern.empty() && std::ssize(config.layer_pattern) != config.num_hidden_layers)
    refuse("a letter in the layers' pattern for each of " + text(config.num_hidden_layers) + " layers",
           text(std::ssize(config.layer_pattern)) + " letters");
  for (const char letter : config.layer_pattern) {
    const auto need = [&](bool there, const char* what) {
      if (!there) refuse(std::string("sizes of ") + what + " for the layers '" + letter + "'", "none");
    };
    switch (letter) {
      case layer_letter::attention:
      case layer_letter::feed_forward: break;
      case layer_letter::mamba: need(config.mamba.has_value(), "mamba"); break;
      case layer_letter::linear_attention: need(config.linear_attention.has_value(), "linear_attention"); break;
      case layer_letter::experts: need(config.experts.has_value(), "experts"); break;
      default: refuse("a pattern of layers of the letters * M L E -", std::string("'") + letter + "'");
    }
  }
  // `widths` and `heads` are a recipe's keys.
  const auto check_state = [&](const char* widths, std::int64_t rows, std::int64_t cols, const char* heads,
                               std::int64_t count, std::int64_t taps) {
    if (rows > kMostState / cols)
      refuse(std::string(widths) + " whose product, the state of a head, is at most " + text(kMostState),
             text(rows) + " and " + text(cols));
    if (count > kMostStates / (rows * cols))
      refuse(std::string(heads) + " whose states, of " + text(rows) + " by " + text(cols) + " each, are at most " +
                 text(kMostStates) + " numbers",
             text(count) + " heads");
    if (taps > kMostTaps) refuse("at most " + text(kMostTaps) + " for conv_kernel, taps of a convolution", text(taps));
  };
  if (config.mamba) {
    const MambaConfig& m = *config.mamba;
    check_state("mamba.state_size and mamba.head_dim", m.state_size, m.head_dim, "mamba.num_heads", m.num_heads,
                m.conv_kernel);
    if (m.num_heads % m.n_groups != 0)
      refuse("mamba.n_groups that divides the " + text(m.num_heads) + " heads of the recurrence", text(m.n_groups));
    if (m.inner() > kMost || m.n_groups * m.state_size > kMost / 2)
      refuse("mamba.num_heads heads of mamba.head_dim, and mamba.n_groups of mamba.state_size, of at most " +
                 text(kMost) + " channels together",
             text(m.inner()) + " and " + text(m.n_groups * m.state_size));
    if (m.time_step_low > m.time_step_high) refuse("time_step_limit from low to high", "the other way round");
  }
  if (config.linear_attention) {
    const LinearAttentionConfig& l = *config.linear_attention;
    check_state("linear_attention.key_head_dim and linear_attention.value_head_dim", l.key_head_dim, l.value_head_dim,
                "linear_attention.num_value_heads", l.num_value_heads, l.conv_kernel);
    if (l.num_value_heads % l.num_key_heads != 0)
      refuse("key heads of linear attention that divide the " + text(l.num_value_heads) + " value heads",
             text(l.num_key_heads));
    if (l.key_width() > kMost / 4 || l.value_width() > kMost / 4)
      refuse("linear attention of at most " + text(kMost / 4) + " channels",
             text(l.key_width()) + " and " + text(l.value_width()));
  }
}

// The widths of attention; their products with the numbers of heads are those of layers.
template <class Refuse>
void check_attention(const ModelConfig& config, Refuse&& refuse) {
  const auto check = [&](const char* name, std::int64_t value, std::int64_t most) {
    if (value > most) refuse("at most " + std::to_string(most) + " for " + name, std::to_string(value));
  };
  if (config.has_attention()) {
    check("the width of a head", config.attention_width(), kMostHead);
    check("num_attention_heads times the width of a head", config.num_attention_heads * config.attention_width(),
          kMost);
  }
  if (!config.latent_attention) return;
  const LatentAttentionConfig& latent = *config.latent_attention;
  check("latent_attention.q_lora_rank", latent.q_lora_rank, kMost / 4);
  check("latent_attention.kv_lora_rank", latent.kv_lora_rank, kMost / 4);
  check("the width of a head of latent attention", latent.qk_nope_head_dim + latent.v_head_dim, 2 * kMostHead);
}

}  // namespace

bool ModelConfig::has_experts(std::int64_t layer) const {
  if (!experts) return false;
  const bool are_named = layer_pattern.find(layer_letter::experts) != std::string::npos;
  return are_named ? layer_kind(layer) == layer_letter::experts : experts->has_layer(layer);
}

std::int64_t ModelConfig::state_numbers(std::int64_t layer) const {
  const char kind = layer_kind(layer);
  if (kind == layer_letter::mamba && mamba) return mamba->inner() * mamba->state_size;
  if (kind == layer_letter::linear_attention && linear_attention)
    return linear_attention->value_width() * linear_attention->key_head_dim;
  return 0;
}

bool ModelConfig::has_attention() const {
  return layer_pattern.empty() ? !mamba : layer_pattern.find(layer_letter::attention) != std::string::npos;
}

void ModelConfig::check(const std::string& who) const {
  const auto refuse = [&](const std::string& expected, const std::string& got) {
    throw Error({.who = who, .expected = expected, .got = got});
  };
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  if (num_hidden_layers > kMostLayers)
    refuse("at most " + text(kMostLayers) + " for num_hidden_layers", text(num_hidden_layers));
  if (num_attention_heads % num_key_value_heads != 0)
    refuse("num_key_value_heads that divides num_attention_heads = " + text(num_attention_heads),
           text(num_key_value_heads));
  if (head_dim == 0 && hidden_size % num_attention_heads != 0 && has_attention())
    refuse("hidden_size that is a multiple of num_attention_heads = " + text(num_attention_heads), text(hidden_size));
  if (!blocks.empty() && std::ssize(blocks) != num_hidden_layers)
    refuse("a block for each of " + text(num_hidden_layers) + " layers", text(std::ssize(blocks)));
  for (const BlockConfig& block : blocks)
    if (block.num_key_value_heads > 0 && num_attention_heads % block.num_key_value_heads != 0)
      refuse("key/value heads of every block that divide num_attention_heads = " + text(num_attention_heads),
             text(block.num_key_value_heads));
  if (experts && experts->num_experts_per_tok > experts->num_experts)
    refuse("num_experts_per_tok of at most num_experts = " + text(experts->num_experts),
           text(experts->num_experts_per_tok));
  if (experts) {
    const ExpertsConfig& e = *experts;
    if (e.num_experts % e.n_group != 0)
      refuse("n_group that divides the number of experts, " + text(e.num_experts), text(e.n_group));
    std::int64_t layers = 0;
    for (std::int64_t i = 0; i < num_hidden_layers; ++i) layers += has_experts(i) ? 1 : 0;
    if (layers * e.num_experts > kMostExperts)
      refuse("at most " + text(kMostExperts) + " experts in all layers together", text(layers * e.num_experts));
    if (e.n_shared_experts > 0 && e.moe_intermediate_size > kMost / 2 / e.n_shared_experts)
      refuse("shared experts of at most " + text(kMost / 2) + " channels together",
             text(e.n_shared_experts) + " of " + text(e.moe_intermediate_size));
    if (e.topk_group > e.n_group) refuse("topk_group of at most n_group = " + text(e.n_group), text(e.topk_group));
    if (const std::int64_t reachable = e.num_experts / e.n_group * e.topk_group; e.num_experts_per_tok > reachable)
      refuse("num_experts_per_tok of at most " + text(reachable) + ", the experts of topk_group groups",
             text(e.num_experts_per_tok));
  }
  check_layers(*this, refuse);
  check_attention(*this, refuse);
  if (latent_attention && latent_attention->qk_rope_head_dim != head_size())
    refuse("head_dim as qk_rope_head_dim = " + text(latent_attention->qk_rope_head_dim), text(head_size()));
  if (partial_rotary_factor < 1.0 && rotary_width() < 2)
    refuse("a partial_rotary_factor that turns two numbers of a head", std::to_string(partial_rotary_factor));
  if (rotary_width() % 2 != 0 && has_attention())
    refuse("an even head_dim (the rotary embedding turns pairs)", text(rotary_width()));
}

}  // namespace qad
