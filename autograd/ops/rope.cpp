#include "autograd/ops/rope.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {

Variable rope(Variable x, std::int64_t head_dim, const std::shared_ptr<const std::vector<std::int32_t>>& positions,
              const RotaryTable& table) {
  const std::int64_t tokens = x.value().rows();
  const std::int64_t heads = x.value().cols() / head_dim;
  QAD_ASSERT(heads * head_dim == x.value().cols() && static_cast<std::int64_t>(positions->size()) == tokens);
  const std::int64_t turned = 2 * table.cosines.cols();
  QAD_ASSERT(turned <= head_dim);
  const auto rotate = [=](bool inverse, const Tensor& source, const Tensor& target) {
    kernel_table(source.device())
        .rope(tokens, heads, head_dim, turned, positions->data(), table.cosines.data(), table.sines.data(), inverse,
              source.data(), target.data());
  };
  Tensor out = x.value().reusable();
  rotate(false, x.value(), out);
  return record("rope", std::move(out), {x}, [sink = x.sink(), rotate](const Tensor& d) {
    Tensor dx = d.reusable();
    rotate(true, d, dx);
    sink->give(std::move(dx));
  });
}

}  // namespace qad
