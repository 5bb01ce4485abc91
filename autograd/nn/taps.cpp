#include "autograd/nn/taps.h"

namespace qad {
namespace {

// A weight that shows what it multiplies.
class ShowingOperand final : public Operand {
 public:
  ShowingOperand(std::shared_ptr<const Operand> behind, const ProductTap::See& see)
      : behind_(std::move(behind)), see_(see) {}
  [[nodiscard]] Shape shape() const override { return behind_->shape(); }
  [[nodiscard]] std::size_t bytes() const override { return behind_->bytes(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    behind_->expand_rows(begin, end, out);
  }
  void multiply_transposed(const Tensor& x, float* out) const override {
    behind_->multiply_transposed(x, out);
    see_(x, out);
  }

 private:
  std::shared_ptr<const Operand> behind_;
  const ProductTap::See& see_;
};

TransformResult of_behind(const TransformSlot& behind, const Tensor& x, std::uint64_t version, Readers readers) {
  return behind != nullptr ? behind->apply(x, version, readers) : TransformResult{operand_of(x), x, {}};
}

}  // namespace

TransformResult InputTap::apply(const Tensor& x, std::uint64_t version, Readers readers) {
  see_(x);
  return of_behind(behind_, x, version, readers);
}

TransformResult ProductTap::apply(const Tensor& x, std::uint64_t version, Readers readers) {
  return {std::make_shared<ShowingOperand>(of_behind(behind_, x, version, readers).operand, see_), {}, {}};
}

Taps::~Taps() {
  for (auto one = before_.rbegin(); one != before_.rend(); ++one) *one->first = one->second;
}

}  // namespace qad
