#include "autograd/ops/embedding.h"

#include "autograd/core/error.h"
#include "autograd/kernels/table.h"

namespace qad {

Variable embedding(const std::shared_ptr<const std::vector<std::int32_t>>& ids, const Variable& table) {
  const auto tokens = static_cast<std::int64_t>(ids->size());
  const std::int64_t cols = table.value().cols();
  Tensor out({tokens, cols});
  const KernelTable& kernel = kernel_table(out.device());
  switch (table.value().dtype()) {
    case DType::f32: kernel.embedding_forward(tokens, cols, ids->data(), table.value().data(), out.data()); break;
    case DType::bf16:
      kernel.embedding_forward_bf16(tokens, cols, ids->data(), table.value().data<std::uint16_t>(), out.data());
      break;
    default: {
      const Tensor whole = save(table.value())->expand();
      kernel.embedding_forward(tokens, cols, ids->data(), whole.data(), out.data());
    }
  }
  return record("embedding", std::move(out), {table}, [ids, table, tokens, cols](const Tensor& d) {
    const Tensor d_table = table.slot()->accumulator(table.shape());
    kernel_table(d.device()).embedding_backward(tokens, cols, ids->data(), d.data(), d_table.data());
  });
}

}  // namespace qad
