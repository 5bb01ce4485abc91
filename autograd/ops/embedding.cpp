#include "autograd/ops/embedding.h"

#include <algorithm>

#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

// Of a table in any form: only the rows that are asked for are expanded.
void gather(const std::vector<std::int32_t>& ids, const Operand& table, const Tensor& out) {
  const std::int64_t cols = out.cols();
  const ProfileScope scope("embedding", 0, 2.0 * static_cast<double>(out.bytes()));
  parallel_for(out.rows(), std::max<std::int64_t>(1, (1 << 14) / cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      const std::int64_t id = ids[static_cast<std::size_t>(token)];
      table.expand_rows(id, id + 1, out.data() + token * cols);
    }
  });
}

}  // namespace

Variable embedding(const std::shared_ptr<const std::vector<std::int32_t>>& ids, const ParameterOperand& table) {
  const auto tokens = static_cast<std::int64_t>(ids->size());
  const std::int64_t cols = table.shape().cols();
  Tensor out({tokens, cols});
  const KernelTable& kernel = kernel_table(out.device());
  const Tensor& plain = table.result.value;
  if (plain.defined() && plain.dtype() == DType::f32)
    kernel.embedding_forward(tokens, cols, ids->data(), plain.data(), out.data());
  else if (plain.defined() && plain.dtype() == DType::bf16)
    kernel.embedding_forward_bf16(tokens, cols, ids->data(), plain.data<std::uint16_t>(), out.data());
  else gather(*ids, table.values(), out);
  return record("embedding", std::move(out), {table.parameter}, [ids, table, tokens, cols](const Tensor& d) {
    table.accumulate_gradient([&](const Tensor& d_table) {
      kernel_table(d.device()).embedding_backward(tokens, cols, ids->data(), d.data(), d_table.data());
    });
  });
}

}  // namespace qad
