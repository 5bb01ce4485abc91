#include "models/model_config.h"

#include "autograd/base/error.h"

namespace qad {

void ModelConfig::check(const std::string& who) const {
  const auto refuse = [&](const std::string& expected, const std::string& got) {
    throw Error({.who = who, .expected = expected, .got = got});
  };
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  if (num_attention_heads % num_key_value_heads != 0)
    refuse("num_key_value_heads that divides num_attention_heads = " + text(num_attention_heads),
           text(num_key_value_heads));
  if (head_dim == 0 && hidden_size % num_attention_heads != 0)
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
    if (e.topk_group > e.n_group) refuse("topk_group of at most n_group = " + text(e.n_group), text(e.topk_group));
    if (const std::int64_t reachable = e.num_experts / e.n_group * e.topk_group; e.num_experts_per_tok > reachable)
      refuse("num_experts_per_tok of at most " + text(reachable) + ", the experts of topk_group groups",
             text(e.num_experts_per_tok));
  }
  if (latent_attention && latent_attention->qk_rope_head_dim != head_size())
    refuse("head_dim as qk_rope_head_dim = " + text(latent_attention->qk_rope_head_dim), text(head_size()));
  if (head_size() % 2 != 0) refuse("an even head_dim (the rotary embedding turns pairs)", text(head_size()));
}

}  // namespace qad
