#include "autograd/ops/attention.h"

#include <cmath>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/batch_invariant.h"

namespace qad {

Variable attention(const Variable& q, const Variable& k, const Variable& v, const AttentionSegments& segments,
                   const AttentionConfig& config) {
  QAD_ASSERT(q.value().cols() == config.heads * config.head_dim);
  QAD_ASSERT(k.value().cols() == config.kv_heads * config.head_dim && k.shape() == v.shape());
  // `segments` is captured beside the shape, which only points into it.
  const auto shape = [segments, config] {
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
    return kernels::AttentionShape{*segments, config.heads,  config.kv_heads,  config.head_dim,
                                   scale,     config.window, batch_invariant()};
  };
  Tensor out(q.shape());
  const Tensor log_sum_exp({q.value().rows(), config.heads});
  kernel_table(out.device())
      .attention_forward(shape(), q.value().data(), k.value().data(), v.value().data(), out.data(), log_sum_exp.data());
  if (!recording()) return Variable(std::move(out));
  return record("attention", std::move(out), {q, k, v},
                [q_sink = q.sink(), k_sink = k.sink(), v_sink = v.sink(), q_operand = q.operand(),
                 k_operand = k.operand(), v_operand = v.operand(), log_sum_exp, shape](const Tensor& d) {
                  const Tensor queries = q_operand->expand(), keys = k_operand->expand(), values = v_operand->expand();
                  Tensor dq(queries.shape()), dk(keys.shape()), dv(values.shape());
                  kernel_table(d.device())
                      .attention_backward(shape(), queries.data(), keys.data(), values.data(), log_sum_exp.data(),
                                          d.data(), dq.data(), dk.data(), dv.data());
                  if (q_sink != nullptr) q_sink->give(std::move(dq));
                  if (k_sink != nullptr) k_sink->give(std::move(dk));
                  if (v_sink != nullptr) v_sink->give(std::move(dv));
                });
}

}  // namespace qad
