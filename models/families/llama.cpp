// Shapes: T tokens of a batch, C hidden size.
#include "models/families/llama.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/ops/embedding.h"
#include "autograd/ops/require_finite.h"
#include "autograd/ops/rms_norm.h"
#include "models/layers/rotary.h"

namespace qad {
namespace {

class Llama final : public LanguageModel {
 public:
  Llama(const ModelConfig& config, const ParameterMaker& make)
      : config_(config), embedding_(make("model.embed_tokens.weight", {config.vocab_size, config.hidden_size})) {
    for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
      layers_.push_back(std::make_unique<DecoderLayer>(config, i, make));
    norm_ = make("model.norm.weight", {config.hidden_size});
    head_.name = "lm_head";
    head_.members = {
        {"lm_head",
         config.tie_word_embeddings ? embedding_ : make("lm_head.weight", {config.vocab_size, config.hidden_size}),
         nullptr}};
  }

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] LinearGroup& head() override { return head_; }

  [[nodiscard]] Variable hidden_states(const TokenBatch& batch) override {
    auto segments = std::make_shared<std::vector<kernels::AttentionSegment>>();
    for (const Segment& s : batch.segments) segments->push_back({s.begin, s.end, s.begin, s.end});
    return forward(batch, segments, nullptr);
  }

  [[nodiscard]] Variable hidden_states(const TokenBatch& batch, const AttentionSegments& segments,
                                       KeyValueCache& cache) override {
    return forward(batch, segments, &cache);
  }

  [[nodiscard]] ParameterList parameters() override {
    ParameterList list = {embedding_};
    for (const auto& layer : layers_) layer->collect(list);
    list.push_back(norm_);
    if (!config_.tie_word_embeddings) collect(head_, list);
    return list;
  }

  [[nodiscard]] std::vector<LinearGroup*> linear_groups() override {
    std::vector<LinearGroup*> groups;
    for (const auto& layer : layers_) layer->collect(groups);
    groups.push_back(&head_);
    return groups;
  }

  [[nodiscard]] std::vector<SelfAttention*> attention_layers() override {
    std::vector<SelfAttention*> layers;
    for (const auto& layer : layers_)
      if (layer->has_attention()) layers.push_back(&layer->attention);
    return layers;
  }

 private:
  Variable forward(const TokenBatch& batch, const AttentionSegments& segments, KeyValueCache* cache) {
    const AttentionPlan plan{std::make_shared<std::vector<std::int32_t>>(batch.positions), segments,
                             rotary_for(batch.positions)};
    Variable x_TC = embedding(std::make_shared<std::vector<std::int32_t>>(batch.ids), embedding_->operand());
    const auto guard = [&](const Variable& x, const std::string& place) {
      if (!recording()) require_finite(x.value(), label + ": " + place);
    };
    guard(x_TC, "model.embed_tokens");
    std::size_t cached = 0;  // layers with attention so far
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto& one = layers_[i];
      LayerCache* const layer_cache = cache != nullptr && one->has_attention() ? &cache->layers[cached++] : nullptr;
      const auto block = [layer = one.get(), plan, layer_cache](const Variable& x) {
        return (*layer)(x, plan, layer_cache);
      };
      x_TC = activation_checkpointing == ActivationCheckpointing::block ? recompute(block, x_TC) : block(x_TC);
      guard(x_TC, "model.layers." + std::to_string(i));
    }
    const Variable hidden_TC = rms_norm(x_TC, norm_->operand(), static_cast<float>(config_.rms_norm_eps));
    guard(hidden_TC, "model.norm");
    return hidden_TC;
  }

  // Grows by doubling, so that a model with a long context pays only for the positions it has seen.
  const RotaryTable& rotary_for(const std::vector<std::int32_t>& positions) {
    const std::int64_t needed = positions.empty() ? 1 : *std::ranges::max_element(positions) + 1;
    if (const std::int64_t most = rotary_positions(config_); needed > most)
      throw Error({"rope_scaling dynamic", fmt::format("sequences of at most {} tokens", most), std::to_string(needed),
                   "beyond max_position_embeddings its frequencies depend on what was read before"});
    const std::int64_t have = rotary_.cosines.defined() ? rotary_.cosines.rows() : 0;
    if (needed > have) rotary_ = rotary_table(config_, std::max({needed, 2 * have, std::int64_t{256}}));
    return rotary_;
  }

  ModelConfig config_;
  ParameterPointer embedding_, norm_;
  std::vector<std::unique_ptr<DecoderLayer>> layers_;
  LinearGroup head_;
  RotaryTable rotary_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_llama(const ModelConfig& config, const ParameterMaker& make) {
  return std::make_unique<Llama>(config, make);
}

}  // namespace qad
