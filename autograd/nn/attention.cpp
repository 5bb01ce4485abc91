#include "autograd/nn/attention.h"

#include "autograd/base/error.h"
#include "autograd/ops/rms_norm.h"
#include "autograd/ops/rows.h"

namespace qad {

Variable SelfAttention::operator()(const Variable& x, const AttentionPlan& plan, const LayerCache* cache) const {
  std::vector<Variable> projected = qkv(x);
  const auto rotated = [&](Variable heads, const ParameterPointer& norm) {
    if (norm) heads = rms_norm(heads, norm->operand(), norm_epsilon);
    return rope(std::move(heads), config.head_dim, plan.positions, plan.rotary);
  };
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
  return output(attention(q, k, v, plan.segments, config))[0];
}

}  // namespace qad
