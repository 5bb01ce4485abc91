#include "autograd/nn/attention.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/ops/rms_norm.h"

namespace qad {
namespace {

void store_rows(const Tensor& fresh, const std::vector<std::int64_t>& rows, const Tensor& cache) {
  const std::int64_t cols = fresh.cols();
  QAD_ASSERT(static_cast<std::int64_t>(rows.size()) == fresh.rows() && cache.cols() == cols);
  for (std::size_t t = 0; t < rows.size(); ++t)
    std::copy_n(fresh.data() + static_cast<std::int64_t>(t) * cols, cols, cache.data() + rows[t] * cols);
}

}  // namespace

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
    store_rows(k.value(), cache->rows, cache->keys);
    store_rows(v.value(), cache->rows, cache->values);
    k = Variable(cache->keys);
    v = Variable(cache->values);
  }
  return output(attention(q, k, v, plan.segments, config))[0];
}

}  // namespace qad
