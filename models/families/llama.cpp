#include "models/families/llama.h"

#include "models/layers/attention_layer.h"
#include "models/layers/experts_layer.h"
#include "models/layers/feed_forward_layer.h"

namespace qad {

std::unique_ptr<LanguageModel> make_llama(const ModelConfig& config, const ParameterMaker& make) {
  const std::int64_t vocabulary = config.vocab_size, hidden = config.hidden_size;
  LanguageModel::Modules modules;
  modules.embedding = make({"model.embed_tokens.weight", {vocabulary, hidden}, Role::embedding});
  const auto rotary = std::make_shared<Rotary>(config);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const BlockConfig block = config.block(i);
    std::vector<Residual> parts;
    if (block.num_key_value_heads > 0) parts.push_back(make_attention(config, i, rotary, make));
    if (config.experts && config.experts->has_layer(i)) parts.push_back(make_experts(config, i, make));
    else if (block.intermediate_size > 0) parts.push_back(make_feed_forward(config, i, make));
    modules.blocks.emplace_back("model.layers." + std::to_string(i), std::move(parts));
  }
  modules.norm = make({"model.norm.weight", {hidden}, Role::norm});
  modules.head.name = "lm_head";
  modules.head.members = {
      {"lm_head",
       config.tie_word_embeddings ? modules.embedding : make({"lm_head.weight", {vocabulary, hidden}, Role::head}),
       nullptr}};
  if (!config.tie_word_embeddings) modules.head.fed_by = modules.norm;
  return std::make_unique<LanguageModel>(config, std::move(modules));
}

}  // namespace qad
