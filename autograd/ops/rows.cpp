#include "autograd/ops/rows.h"

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"

namespace qad {
namespace {

std::size_t row_bytes(const Tensor& tensor) {
  return static_cast<std::size_t>(tensor.cols()) * bytes_of(tensor.dtype());
}

}  // namespace

Tensor gather_rows(const Tensor& source, const std::vector<std::int64_t>& rows) {
  Tensor result({static_cast<std::int64_t>(rows.size()), source.cols()}, source.dtype());
  kernel_table(source.device())
      .copy_rows(result.rows(), row_bytes(source), source.raw(), rows.data(), result.raw(), nullptr);
  return result;
}

void scatter_rows(const Tensor& source, const std::vector<std::int64_t>& rows, const Tensor& target) {
  QAD_ASSERT(source.rows() == static_cast<std::int64_t>(rows.size()) && source.cols() == target.cols() &&
             source.dtype() == target.dtype());
  kernel_table(source.device())
      .copy_rows(source.rows(), row_bytes(source), source.raw(), nullptr, target.raw(), rows.data());
}

}  // namespace qad
