// What every model family offers: hidden states and a head (so that head and loss can be fused), parameters by name,
// and the places where quantizers may attach.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autograd/nn/attention.h"
#include "autograd/nn/linear.h"
#include "autograd/nn/parameter.h"
#include "data/text/batch.h"
#include "models/model_config.h"

namespace qad {

enum class ActivationCheckpointing : std::uint8_t { none, block };
constexpr auto enum_names(ActivationCheckpointing) {
  return std::to_array<EnumName<ActivationCheckpointing>>(
      {{ActivationCheckpointing::none, "none"}, {ActivationCheckpointing::block, "block"}});
}

/// Keys and values of all layers, for decoding (models/decode).
struct KeyValueCache {
  std::vector<LayerCache> layers;  ///< as attention_layers()
};

class LanguageModel {
 public:
  LanguageModel() = default;
  virtual ~LanguageModel() = default;
  LanguageModel(const LanguageModel&) = delete;
  LanguageModel& operator=(const LanguageModel&) = delete;

  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  /// States after the final norm, what the head reads: [tokens, hidden_size]. Where no tape records them, an infinity
  /// or NaN is a NotFinite that names the model and the first layer with one.
  [[nodiscard]] virtual Variable hidden_states(const TokenBatch& batch) = 0;
  /// The same with a cache: token t of the batch goes to the cache rows that `cache` names, and attends as `segments`
  /// say.
  [[nodiscard]] virtual Variable hidden_states(const TokenBatch& batch, const AttentionSegments& segments,
                                               KeyValueCache& cache) = 0;
  /// The output head; its weight is the embedding's parameter when tied. What multiplies with it must go through the
  /// slots of its input and its weight.
  [[nodiscard]] virtual LinearGroup& head() = 0;

  /// Every parameter once, in the order of the layers.
  [[nodiscard]] virtual ParameterList parameters() = 0;
  /// Every group of linear layers, the head last.
  [[nodiscard]] virtual std::vector<LinearGroup*> linear_groups() = 0;
  [[nodiscard]] virtual std::vector<SelfAttention*> attention_layers() = 0;

  ActivationCheckpointing activation_checkpointing = ActivationCheckpointing::none;
  std::string label = "the student";  ///< what errors call it; of a model from a folder, the folder
};

/// Parameters in all, a tied one once.
[[nodiscard]] std::int64_t parameter_count(LanguageModel& model);

/// logits [tokens, vocabulary] without a tape: for tests, decoding and small checks, never for training. NotFinite, as
/// hidden_states.
[[nodiscard]] Tensor logits_of(LanguageModel& model, const Tensor& hidden);

}  // namespace qad
