#include "models/layers/latent_attention_layer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/ops/attention.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/heads.h"
#include "autograd/ops/rms_norm.h"
#include "autograd/ops/rows.h"
#include "models/layers/key_value_state.h"
#include "models/layers/make_linear.h"

namespace qad {
namespace {

constexpr float kLatentEpsilon = 1e-6f;

// A narrow vector and what is made of it.
struct Latent {
  ParameterPointer norm;
  LinearGroup up;
};

// Yarn makes scores steeper, as the longer context makes them flatter.
double softmax_factor(const RopeScaling& scaling) {
  if (scaling.rope_type != RopeScalingKind::yarn || scaling.mscale_all_dim == 0) return 1.0;
  const double m = 0.1 * scaling.mscale_all_dim * std::log(scaling.factor) + 1.0;
  return m * m;
}

class LatentAttentionLayer final : public Layer {
 public:
  LatentAttentionLayer(const LatentAttentionConfig& config, std::int64_t heads, double factor, LinearGroup down,
                       std::optional<Latent> queries, Latent keys_values, LinearGroup output,
                       std::shared_ptr<Rotary> rotary)
      : config_(config),
        heads_(heads),
        // Attention divides by the root of its own width, which is that of queries and keys or that of values.
        width_(std::max(config.qk_head_dim(), config.v_head_dim)),
        factor_(static_cast<float>(factor *
                                   std::sqrt(static_cast<double>(width_) / static_cast<double>(config.qk_head_dim())))),
        down_(std::move(down)),
        queries_(std::move(queries)),
        keys_values_(std::move(keys_values)),
        output_(std::move(output)),
        rotary_(std::move(rotary)) {}

  [[nodiscard]] Variable operator()(const Variable& x_TC, const ForwardPlan& plan, LayerState* state) const override {
    const std::int64_t nope = config_.qk_nope_head_dim, turned = config_.qk_rope_head_dim, values = config_.v_head_dim;
    std::vector<Variable> down = down_(x_TC);  // queries, or what they are made of; what keys and values are made of
    Variable q = queries_ ? up(*queries_, down[0]) : down[0];
    q = with_positions(std::move(q), heads_, plan);
    if (width_ > config_.qk_head_dim()) q = head_part(q, heads_, 0, config_.qk_head_dim(), width_);
    if (factor_ != 1.0f) q = scaled(std::move(q), factor_);

    const std::int64_t rank = config_.kv_lora_rank;
    const Variable kv = up(keys_values_, head_part(down[1], 1, 0, rank, rank));
    const Variable shared = with_positions(head_part(down[1], 1, rank, rank + turned, turned), 1, plan);
    Variable k = share_head_part(head_part(kv, heads_, 0, nope, width_), shared, heads_, nope);
    Variable v = head_part(kv, heads_, nope, nope + values, width_);
    Segments segments;
    if (state == nullptr) {
      segments = segments_within_batch(*plan.parts);
    } else {
      QAD_ASSERT(!recording());
      const auto& cache = dynamic_cast<const KeyValueState&>(*state);
      const std::vector<std::int64_t> rows = cache.rows(*plan.parts);
      scatter_rows(k.value(), rows, cache.keys);
      scatter_rows(v.value(), rows, cache.values);
      k = Variable(cache.keys);
      v = Variable(cache.values);
      segments = cache.segments(*plan.parts);
    }
    const Variable y = attention(q, k, v, std::make_shared<const Segments>(std::move(segments)),
                                 {.heads = heads_, .kv_heads = heads_, .head_dim = width_});
    return output_(width_ > values ? head_part(y, heads_, 0, values, values) : y)[0];
  }

  [[nodiscard]] ModuleKind kind() const override { return ModuleKind::attention; }
  void visit(ModuleVisitor& visitor) override {
    qad::visit(down_, visitor);
    if (queries_) show(*queries_, visitor);
    show(keys_values_, visitor);
    qad::visit(output_, visitor);
  }

  [[nodiscard]] std::unique_ptr<LayerState> make_state(std::int64_t slots, std::int64_t capacity) const override {
    return std::make_unique<KeyValueState>(slots, capacity, heads_ * width_);
  }

 private:
  [[nodiscard]] Variable with_positions(Variable x, std::int64_t heads, const ForwardPlan& plan) const {
    if (rotary_ == nullptr) return x;
    return rope_of_neighbours(std::move(x), heads, config_.qk_rope_head_dim, plan.positions,
                              rotary_->up_to(plan.longest));
  }
  [[nodiscard]] static Variable up(const Latent& latent, const Variable& x) {
    return latent.up(rms_norm(x, latent.norm->operand(), kLatentEpsilon))[0];
  }
  static void show(Latent& latent, ModuleVisitor& visitor) {
    visitor.parameter(latent.norm);
    qad::visit(latent.up, visitor);
  }

  LatentAttentionConfig config_;
  std::int64_t heads_, width_;  // of a head
  float factor_;
  LinearGroup down_;
  std::optional<Latent> queries_;
  Latent keys_values_;
  LinearGroup output_;
  std::shared_ptr<Rotary> rotary_;
};

}  // namespace

Residual make_latent_attention(const ModelConfig& config, const LayerPlace& place,
                               const std::shared_ptr<Rotary>& rotary, const ParameterMaker& make) {
  const std::string& self = place.module;
  const LatentAttentionConfig& sizes = *config.latent_attention;
  const std::int64_t hidden = config.hidden_size, heads = config.num_attention_heads;
  const std::int64_t q_width = heads * sizes.qk_head_dim(),
                     kv_width = heads * (sizes.qk_nope_head_dim + sizes.v_head_dim);
  Residual part = make_residual(config, place, make);
  const auto linear = [&](const char* name, std::int64_t out, std::int64_t in, bool adds_to_residual = false) {
    return make_linear({.name = self + name, .out = out, .in = in, .adds_to_residual = adds_to_residual}, make);
  };
  const auto latent = [&](const char* norm, const char* name, std::int64_t out, std::int64_t rank) {
    Latent one{make(norm_weight(self + norm, rank)), {.name = self + name}};
    one.up.members = {linear(name, out, rank)};
    one.up.fed_by = one.norm;
    return one;
  };
  LinearGroup down{.name = self + ".qkv_a_proj", .fed_by = scales_of(part)};
  std::optional<Latent> queries;
  if (sizes.q_lora_rank > 0) {
    down.members = {linear(".q_a_proj", sizes.q_lora_rank, hidden)};
    queries = latent(".q_a_layernorm", ".q_b_proj", q_width, sizes.q_lora_rank);
  } else {
    down.members = {linear(".q_proj", q_width, hidden)};
  }
  down.members.push_back(linear(".kv_a_proj_with_mqa", sizes.kv_lora_rank + sizes.qk_rope_head_dim, hidden));
  Latent keys_values = latent(".kv_a_layernorm", ".kv_b_proj", kv_width, sizes.kv_lora_rank);
  LinearGroup output{.name = self + ".o_proj"};
  output.members = {linear(".o_proj", hidden, heads * sizes.v_head_dim, true)};
  part.layer =
      std::make_unique<LatentAttentionLayer>(sizes, heads, softmax_factor(config.rope_scaling), std::move(down),
                                             std::move(queries), std::move(keys_values), std::move(output), rotary);
  return part;
}

}  // namespace qad
