#include "autograd/nn/attention.h"

#include "autograd/base/error.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/heads.h"
#include "autograd/ops/rms_norm.h"
#include "autograd/ops/rows.h"

namespace qad {

Variable SelfAttention::operator()(const Variable& x, const AttentionPlan& plan, const LayerCache* cache) const {
  std::vector<Variable> projected = qkv(x);
  const auto rotated = [&](Variable heads, const ParameterPointer& norm) {
    if (norm) heads = rms_norm(heads, norm->operand(), norm_epsilon, norm_offset);
    if (!plan.rotary.cosines.defined()) return heads;
    return rope(std::move(heads), config.head_dim, plan.positions, plan.rotary);
  };
  const std::int64_t d = config.head_dim;
  Variable gate;
  if (gated) {
    gate = head_part(projected[0], config.heads, d, 2 * d, d);
    projected[0] = head_part(projected[0], config.heads, 0, d, d);
  }
  const Variable q = rotated(std::move(projected[0]), q_norm);
  Variable k = transformed(rotated(std::move(projected[1]), k_norm), key_slot);
  Variable v = transformed(projected[2], value_slot);
  if (cache != nullptr) {
    QAD_ASSERT(!recording());
    scatter_rows(k.value(), cache->rows, cache->keys);
    scatter_rows(v.value(), cache->rows, cache->values);
    k = Variable(cache->keys);
    v = Variable(cache->values);
  }
  const Variable y = attention(q, k, v, plan.segments, config);
  return output(gated ? sigmoid_gated(y, gate) : y)[0];
}

}  // namespace qad
