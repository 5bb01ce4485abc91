#include "models/families/backbone_kind.h"

#include "models/families/assemble.h"
#include "models/layers/attention_layer.h"
#include "models/layers/experts_layer.h"
#include "models/layers/feed_forward_layer.h"
#include "models/layers/mamba_layer.h"

namespace qad {

std::unique_ptr<LanguageModel> make_backbone_kind(const ModelConfig& config, const ParameterMaker& make) {
  constexpr ExpertNames kExperts = {.gate = nullptr};
  constexpr ModelNames kNames = {.root = "backbone", .embedding = "embeddings", .norm = "norm_f"};
  return assemble_model(config, make, kNames, [&](std::int64_t i, const std::string& block) {
    const LayerPlace place{i, block + ".mixer", block + ".norm"};
    std::vector<Residual> parts;
    switch (config.layer_kind(i)) {
      case layer_letter::mamba: parts.push_back(make_mamba(config, place, make)); break;
      case layer_letter::experts: parts.push_back(make_experts(config, place, kExperts, make)); break;
      case layer_letter::feed_forward: parts.push_back(make_feed_forward(config, place, make, true)); break;
      default: parts.push_back(make_attention(config, place, nullptr, make)); break;  // it has no positions
    }
    return parts;
  });
}

}  // namespace qad
