#include "autograd/ops/delta_rule.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/ops/sequence_rows.h"

namespace qad {
namespace {

kernels::StridedRows<const float> rows_of(const Columns& x) { return {x.data(), x.stride()}; }

kernels::StridedRows<float> rows_of(const ColumnsGradient& gradient) { return {gradient.data(), gradient.stride()}; }

}  // namespace

Variable log_decay(const Columns& g, const ParameterOperand& A_log, const ParameterOperand& dt_bias) {
  const std::int64_t rows = g.x.shape().rows(), cols = g.width(), heads = A_log.shape().size();
  QAD_ASSERT(heads > 0 && cols % heads == 0 && dt_bias.shape().size() == cols);
  const Tensor a_log = A_log.values().expand(), bias = dt_bias.values().expand();
  const auto input = [g_tensor = g.x.value(), begin = g.begin, stride = g.stride(), a_log, bias, rows, cols, heads] {
    return kernels::LogDecayInput{rows, cols, heads, g_tensor.data() + begin, stride, a_log.data(), bias.data()};
  };
  Tensor l({rows, cols});
  kernel_table(l.device()).log_decay_forward(input(), l.data());
  return record(
      "log_decay", l, {g.x, A_log.parameter, dt_bias.parameter},
      [input, l, A_log, dt_bias, dg = ColumnsGradient(g)](const Tensor& dl) {
        A_log.accumulate_if_needed([&](float* dA_log) {
          dt_bias.accumulate_if_needed([&](float* d_dt_bias) {
            kernel_table(dl.device()).log_decay_backward(input(), l.data(), dl.data(), {dg.data(), dA_log, d_dt_bias});
          });
        });
      });
}

Variable delta_rule(const Columns& q, const Columns& k, const Columns& v, const Variable& decay, const Columns& beta,
                    const DeltaRuleShape& shape, const SequenceParts& parts, const Tensor* states) {
  const std::int64_t rows = v.x.shape().rows(), width = decay.shape().cols();
  const bool by_channel = width == shape.value_heads * shape.key_dim && shape.key_dim > 1;
  QAD_ASSERT(shape.key_heads > 0 && shape.value_heads % shape.key_heads == 0);
  QAD_ASSERT(by_channel || width == shape.value_heads);
  QAD_ASSERT(q.width() == shape.key_heads * shape.key_dim && k.width() == q.width());
  QAD_ASSERT(v.width() == shape.value_heads * shape.value_dim && beta.width() == shape.value_heads);
  for (const Variable* x : {&q.x, &k.x, &decay, &beta.x}) QAD_ASSERT(x->shape().rows() == rows);

  std::vector<kernels::DeltaRuleSegment> segments;
  for (const kernels::SequenceRows& sequence : sequence_rows(*parts, rows, states))
    if (sequence.size() > 0) segments.push_back({sequence});
  // The states that backward needs. Nothing is recorded where a model decodes.
  const std::int64_t kept = kernels::count_starts(segments);
  const bool records = recording() && (q.x.needs_gradient() || k.x.needs_gradient() || v.x.needs_gradient() ||
                                       decay.needs_gradient() || beta.x.needs_gradient());
  QAD_ASSERT(states == nullptr || !recording());
  const Tensor starts =
      records && kept > 0 ? Tensor({kept, shape.value_heads, shape.key_dim, shape.value_dim}) : Tensor();
  const auto extents = [segments, shape, by_channel] {
    return kernels::DeltaRuleExtents{segments,      shape.key_heads, shape.value_heads,
                                     shape.key_dim, shape.value_dim, by_channel};
  };
  const auto input = [q, k, v, decay, beta, width] {
    return kernels::DeltaRuleTensors<const float>{
        rows_of(q), rows_of(k), rows_of(v), {decay.value().data(), width}, rows_of(beta)};
  };
  const auto start_data = [](const Tensor& tensor) { return tensor.defined() ? tensor.data() : nullptr; };
  Tensor out({rows, v.width()});
  kernel_table(out.device()).delta_rule_forward(extents(), input(), out.data(), start_data(starts));
  if (!records) return Variable(std::move(out));
  return record(
      "delta_rule", std::move(out), {q.x, k.x, v.x, decay, beta.x},
      [extents, input, starts, start_data, dq = ColumnsGradient(q), dk = ColumnsGradient(k), dv = ColumnsGradient(v),
       d_decay = ColumnsGradient(decay), d_beta = ColumnsGradient(beta)](const Tensor& d_out) {
        kernel_table(d_out.device())
            .delta_rule_backward(extents(), input(), start_data(starts), d_out.data(),
                                 {rows_of(dq), rows_of(dk), rows_of(dv), rows_of(d_decay), rows_of(d_beta)});
      });
}

}  // namespace qad
