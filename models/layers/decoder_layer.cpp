#include "models/layers/decoder_layer.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/rms_norm.h"

namespace qad {
namespace {

Linear make_linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias, const ParameterMaker& make) {
  return {name, make(name + ".weight", {out, in}), bias ? make(name + ".bias", {out}) : nullptr};
}

}  // namespace

DecoderLayer::DecoderLayer(const ModelConfig& config, std::int64_t index, const ParameterMaker& make)
    : epsilon(static_cast<float>(config.rms_norm_eps)) {
  const std::string prefix = "model.layers." + std::to_string(index);
  const BlockConfig block = config.block(index);
  const std::int64_t hidden = config.hidden_size;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in, bool bias) {
    return make_linear(name, out, in, bias, make);
  };
  if (block.num_key_value_heads > 0) {
    const std::int64_t head = config.head_size();
    const std::int64_t q_width = config.num_attention_heads * head;
    const std::int64_t kv_width = block.num_key_value_heads * head;
    const std::string self = prefix + ".self_attn";
    input_norm = make(prefix + ".input_layernorm.weight", {hidden});
    attention.name = self;
    attention.config = {config.num_attention_heads, block.num_key_value_heads, head, config.window_of(index)};
    attention.norm_epsilon = epsilon;
    attention.qkv.name = self + ".qkv_proj";
    attention.qkv.members = {linear(self + ".q_proj", q_width, hidden, config.attention_bias),
                             linear(self + ".k_proj", kv_width, hidden, config.attention_bias),
                             linear(self + ".v_proj", kv_width, hidden, config.attention_bias)};
    if (config.qk_norm) {
      attention.q_norm = make(self + ".q_norm.weight", {head});
      attention.k_norm = make(self + ".k_norm.weight", {head});
    }
    attention.output.name = self + ".o_proj";
    attention.output.members = {linear(self + ".o_proj", hidden, q_width, config.attention_output_bias)};
  }
  if (block.intermediate_size > 0) {
    const std::string mlp = prefix + ".mlp";
    post_attention_norm = make(prefix + ".post_attention_layernorm.weight", {hidden});
    feed_forward.gate_up.name = mlp + ".gate_up_proj";
    feed_forward.gate_up.members = {linear(mlp + ".gate_proj", block.intermediate_size, hidden, config.mlp_bias),
                                    linear(mlp + ".up_proj", block.intermediate_size, hidden, config.mlp_bias)};
    feed_forward.down.name = mlp + ".down_proj";
    feed_forward.down.members = {linear(mlp + ".down_proj", hidden, block.intermediate_size, config.mlp_bias)};
  }
}

Variable DecoderLayer::operator()(const Variable& x_TC, const AttentionPlan& plan, LayerCache* cache) const {
  Variable h_TC = x_TC;
  if (has_attention()) h_TC = add(h_TC, attention(rms_norm(h_TC, input_norm->operand(), epsilon), plan, cache));
  if (has_feed_forward()) h_TC = add(h_TC, feed_forward(rms_norm(h_TC, post_attention_norm->operand(), epsilon)));
  return h_TC;
}

void DecoderLayer::collect(ParameterList& parameters) const {
  if (has_attention()) {
    parameters.push_back(input_norm);
    qad::collect(attention.qkv, parameters);
    for (const ParameterPointer& norm : {attention.q_norm, attention.k_norm})
      if (norm != nullptr) parameters.push_back(norm);
    qad::collect(attention.output, parameters);
  }
  if (has_feed_forward()) {
    parameters.push_back(post_attention_norm);
    qad::collect(feed_forward.gate_up, parameters);
    qad::collect(feed_forward.down, parameters);
  }
}

void DecoderLayer::collect(std::vector<LinearGroup*>& groups) {
  if (has_attention()) groups.insert(groups.end(), {&attention.qkv, &attention.output});
  if (has_feed_forward()) groups.insert(groups.end(), {&feed_forward.gate_up, &feed_forward.down});
}

void collect(const LinearGroup& group, ParameterList& parameters) {
  for (const Linear& member : group.members) {
    parameters.push_back(member.weight);
    if (member.bias != nullptr) parameters.push_back(member.bias);
  }
}

}  // namespace qad
