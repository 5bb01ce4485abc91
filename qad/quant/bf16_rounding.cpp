#include "qad/quant/bf16_rounding.h"

#include <algorithm>

#include "autograd/base/profile.h"
#include "autograd/core/elements.h"
#include "autograd/kernels/table.h"
#include "autograd/tape/batch_invariant.h"

namespace qad {
namespace {

class RoundedView final : public Operand {
 public:
  explicit RoundedView(Tensor master) : master_(std::move(master)) {}
  [[nodiscard]] Shape shape() const override { return master_.shape(); }
  [[nodiscard]] std::size_t bytes() const override { return 0; }  // the master is the parameter's own
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    const float* const source = master_.data() + begin * master_.cols();
    const std::int64_t size = (end - begin) * master_.cols();
    const ProfileScope scope("expand", 0, 2.0 * sizeof(float) * static_cast<double>(size));
    element_kernels(master_.device()).round_to_bf16(source, out, size);
  }
  [[nodiscard]] bool exact_in_bf16() const override { return true; }
  void expand_rows_bf16(std::int64_t begin, std::int64_t end, std::uint16_t* out) const override {
    const float* const source = master_.data() + begin * master_.cols();
    const std::int64_t size = (end - begin) * master_.cols();
    const ProfileScope scope("expand", 0, 1.5 * sizeof(float) * static_cast<double>(size));
    element_kernels(master_.device())
        .convert(DType::f32, reinterpret_cast<const std::byte*>(source), DType::bf16, reinterpret_cast<std::byte*>(out),
                 size);
  }

 private:
  Tensor master_;
};

}  // namespace

TransformResult Bf16Rounding::apply(const Tensor& x, std::uint64_t version, Readers readers) {
  const bool is_parameter = version != 0;
  if (is_parameter && x.dtype() != DType::bf16) return {std::make_shared<RoundedView>(as_f32(x)), {}, {}};
  const Tensor rounded = x.dtype() == DType::bf16 ? x : x.to(DType::bf16);
  return {operand_of(rounded), is_parameter || all_multiply_bf16(readers, x.device()) ? rounded : as_f32(rounded), {}};
}

bool all_multiply_bf16(Readers readers, Device device) {
  return !readers.empty() && !batch_invariant() && kernel_table(device).gemm_bf16 != nullptr &&
         std::ranges::all_of(readers,
                             [](const std::shared_ptr<const Operand>& reader) { return reader->exact_in_bf16(); });
}

void set_input_precision(LanguageModel& model, Precision precision) {
  if (precision == Precision::fp32) return;
  const auto rounding = std::make_shared<Bf16Rounding>();
  for (LinearGroup* group : model.linear_groups())
    if (group->input_slot == nullptr) group->input_slot = rounding;
}

}  // namespace qad
