#include "autograd/ops/state_space_scan.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/ops/sequence_rows.h"
#include "autograd/tape/batch_invariant.h"

namespace qad {
namespace {

// What a node keeps, and forward and backward hand to the kernel.
struct Scan {
  StateSpaceShape extents;
  std::int64_t chunk, dt_stride, dt_begin;
  Tensor xBC, dt, A_log, D, dt_bias;

  [[nodiscard]] kernels::ScanShape shape(const std::vector<kernels::SequenceRows>& sequences) const {
    return {.sequences = sequences,
            .heads = extents.heads,
            .head_dim = extents.head_dim,
            .groups = extents.groups,
            .state = extents.state,
            .step_low = static_cast<float>(extents.step_low),
            .step_high = static_cast<float>(extents.step_high),
            .chunk = chunk,
            .dt_stride = dt_stride};
  }
  [[nodiscard]] kernels::ScanInput input() const {
    return {xBC.data(), dt.data() + dt_begin, A_log.data(), D.data(), dt_bias.data()};
  }
};

}  // namespace

Variable state_space_scan(const Variable& xBC, const Columns& dt, const StateSpaceParameters& parameters,
                          const StateSpaceShape& shape, const SequenceParts& parts, const Tensor* states) {
  const std::int64_t rows = xBC.shape().rows(), heads = shape.heads;
  QAD_ASSERT(shape.groups > 0 && heads % shape.groups == 0);
  QAD_ASSERT(xBC.shape().cols() == heads * shape.head_dim + 2 * shape.groups * shape.state);
  QAD_ASSERT(dt.x.shape().rows() == rows && dt.width() == heads);
  QAD_ASSERT(parameters.A_log.shape().size() == heads && parameters.D.shape().size() == heads);
  QAD_ASSERT(parameters.dt_bias.shape().size() == heads);
  QAD_ASSERT(states == nullptr || !recording());
  const Scan scan{.extents = shape,
                  .chunk = batch_invariant() ? 1 : kScanChunk,
                  .dt_stride = dt.stride(),
                  .dt_begin = dt.begin,
                  .xBC = xBC.value(),
                  .dt = dt.x.value(),
                  .A_log = parameters.A_log.values().expand(),
                  .D = parameters.D.values().expand(),
                  .dt_bias = parameters.dt_bias.values().expand()};
  const std::vector<kernels::SequenceRows> sequences = sequence_rows(*parts, rows, states);
  const kernels::ScanShape forward = scan.shape(sequences);
  Tensor y({rows, heads * shape.head_dim});
  const Tensor starts = recording() ? Tensor({kernels::scan_starts(forward), forward.state_size()}) : Tensor();
  kernel_table(y.device())
      .state_space_scan_forward(forward, scan.input(), y.data(), recording() ? starts.data() : nullptr);
  return record(
      "state_space_scan", std::move(y),
      {xBC, dt.x, parameters.A_log.parameter, parameters.D.parameter, parameters.dt_bias.parameter},
      [scan, parameters, starts, parts, rows, sink = xBC.sink(), dt_gradient = ColumnsGradient(dt)](const Tensor& dy) {
        const std::vector<kernels::SequenceRows> again = sequence_rows(*parts, rows, nullptr);
        const kernels::ScanShape extents = scan.shape(again);
        const std::int64_t blocks = kernels::scan_blocks(extents);
        Tensor dxBC(scan.xBC.shape());
        const Tensor partial = blocks > 1 ? Tensor({blocks, rows, 2 * extents.groups * extents.state}) : Tensor();
        kernels::ScanGradients gradients{.dxBC = dxBC.data(),
                                         .partial = blocks > 1 ? partial.data() : nullptr,
                                         .d_dt = dt_gradient.data(),
                                         .dA_log = nullptr,
                                         .dD = nullptr,
                                         .d_dt_bias = nullptr};
        parameters.A_log.accumulate_if_needed([&](float* dA_log) {
          gradients.dA_log = dA_log;
          parameters.D.accumulate_if_needed([&](float* dD) {
            gradients.dD = dD;
            parameters.dt_bias.accumulate_if_needed([&](float* d_dt_bias) {
              gradients.d_dt_bias = d_dt_bias;
              kernel_table(dy.device())
                  .state_space_scan_backward(extents, scan.input(), starts.data(), dy.data(), gradients);
            });
          });
        });
        if (sink != nullptr) sink->give(std::move(dxBC));
      });
}

}  // namespace qad
