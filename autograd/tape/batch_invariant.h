// Whether what is computed for a row may depend, in its last bits, on the rows beside it.
#pragma once

namespace qad {

/// While one of these lives on this thread, a row of a product and the attention of a query have the same bits in
/// whatever batch and chunk they are computed: products run in order of k (kernels/gemm_in_order.h) and queries one by
/// one. Decoding does so; for training's many rows BLAS is faster.
class BatchInvariantScope {
 public:
  BatchInvariantScope();
  ~BatchInvariantScope();
  BatchInvariantScope(const BatchInvariantScope&) = delete;
  BatchInvariantScope& operator=(const BatchInvariantScope&) = delete;

 private:
  bool previous_;
};
[[nodiscard]] bool batch_invariant();

}  // namespace qad
