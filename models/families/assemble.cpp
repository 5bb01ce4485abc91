#include "models/families/assemble.h"

#include "models/layers/layer_place.h"

namespace qad {

std::unique_ptr<LanguageModel> assemble_model(
    const ModelConfig& config, const ParameterMaker& make, const ModelNames& names,
    const std::function<std::vector<Residual>(std::int64_t index, const std::string& block)>& parts) {
  const std::int64_t vocabulary = config.vocab_size, hidden = config.hidden_size;
  const std::string root = std::string(names.root) + ".";
  LanguageModel::Modules modules;
  modules.embedding = make({root + names.embedding + ".weight", {vocabulary, hidden}, Role::embedding});
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string block = root + "layers." + std::to_string(i);
    modules.blocks.emplace_back(block, parts(i, block));
  }
  modules.norm = make(norm_weight(root + names.norm, hidden, names.norm_offset));
  modules.norm_offset = names.norm_offset;
  modules.head.name = "lm_head";
  modules.head.members = {
      {"lm_head",
       config.tie_word_embeddings ? modules.embedding : make({"lm_head.weight", {vocabulary, hidden}, Role::head}),
       nullptr}};
  if (!config.tie_word_embeddings && names.norm_offset == 0.0f) modules.head.fed_by = modules.norm;
  return std::make_unique<LanguageModel>(config, std::move(modules));
}

}  // namespace qad
