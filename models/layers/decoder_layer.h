// The block that all our decoder families share: pre-norm self-attention and a pre-norm gated feed-forward layer, each
// added to the residual stream. Builds itself from named parameters.
//
// Shapes: T tokens of a batch, C hidden size.
#pragma once

#include <functional>
#include <string>

#include "autograd/nn/attention.h"
#include "autograd/nn/feed_forward.h"
#include "models/model_config.h"

namespace qad {

/// Makes the parameter of this name and shape: from a file, another model, or random numbers.
using ParameterMaker = std::function<ParameterPointer(const std::string& name, const Shape& shape)>;

struct DecoderLayer {
  ParameterPointer input_norm, post_attention_norm;  ///< [C]; null where the layer has no attention, or no feed-forward
  SelfAttention attention;
  FeedForward feed_forward;
  float epsilon;

  /// Layer `index` of the model; its parameters' names start with "model.layers.INDEX".
  DecoderLayer(const ModelConfig& config, std::int64_t index, const ParameterMaker& make);

  [[nodiscard]] Variable operator()(const Variable& x_TC, const AttentionPlan& plan, LayerCache* cache) const;
  [[nodiscard]] bool has_attention() const { return input_norm != nullptr; }
  [[nodiscard]] bool has_feed_forward() const { return post_attention_norm != nullptr; }
  void collect(ParameterList& parameters) const;
  void collect(std::vector<LinearGroup*>& groups);
};

/// The parameters of a group, weights and biases, in order.
void collect(const LinearGroup& group, ParameterList& parameters);

}  // namespace qad
