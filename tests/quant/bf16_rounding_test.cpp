// Parameters that the forward reads in BF16: what ops make of them, and gradients that go straight to the masters.
#include "qad/quant/bf16_rounding.h"

#include <gtest/gtest.h>

#include "autograd/base/random.h"
#include "autograd/nn/parameter.h"
#include "autograd/ops/embedding.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/rms_norm.h"

namespace qad {
namespace {

ParameterPointer normal_parameter(const Shape& shape, std::uint64_t seed) {
  const Tensor value(shape);
  Random random(seed, stream_of("test"));
  for (float& x : value.span()) x = static_cast<float>(random.normal());
  return make_parameter("parameter", value, true);
}

ParameterPointer rounded_twin(const ParameterPointer& master) {
  return make_parameter("twin", master->value().to(DType::bf16).to(DType::f32), true);
}

std::vector<float> values_of(const Tensor& x) { return {x.span().begin(), x.span().end()}; }

TEST(Bf16Rounding, ReadsTheMasterWithoutACopy) {
  const ParameterPointer master = normal_parameter({70, 48}, 1);
  const TransformResult result = Bf16Rounding().apply(master->value(), 1);
  EXPECT_EQ(result.operand->bytes(), 0u);
  EXPECT_EQ(result.operand->shape(), master->value().shape());
  EXPECT_EQ(values_of(result.operand->expand()), values_of(rounded_twin(master)->value()));
  std::vector<float> rows(2 * 48);
  result.operand->expand_rows(5, 7, rows.data());
  EXPECT_EQ(rows, values_of(rounded_twin(master)->value().slice(5, 7)));
}

TEST(Bf16Rounding, LeavesBf16AsItIs) {
  const Tensor stored = normal_parameter({3, 16}, 1)->value().to(DType::bf16);
  EXPECT_EQ(Bf16Rounding().apply(stored, 1).value.raw(), stored.raw());
}

// Every kind of op that reads parameters: a rounded master does what a parameter of the rounded values does, and gets
// its gradient.
TEST(Bf16Rounding, OpsSeeRoundedValuesAndMastersGetTheirGradients) {
  struct Parameters {
    ParameterPointer table, norm, weight, bias;
  };
  const Parameters masters{normal_parameter({40, 32}, 1), normal_parameter({32}, 2), normal_parameter({24, 32}, 3),
                           normal_parameter({24}, 4)};
  const Parameters twins{rounded_twin(masters.table), rounded_twin(masters.norm), rounded_twin(masters.weight),
                         rounded_twin(masters.bias)};
  for (const ParameterPointer& master : {masters.table, masters.norm, masters.weight, masters.bias})
    master->slot = std::make_shared<Bf16Rounding>();

  const auto ids = std::make_shared<const std::vector<std::int32_t>>(std::vector<std::int32_t>{3, 39, 0, 3, 17});
  const auto run = [&](const Parameters& p) {
    const Variable x = rms_norm(embedding(ids, p.table->operand()), p.norm->operand(), 1e-6f);
    const Variable y = linear(x, p.weight->operand(), p.bias->operand());
    backward(y, normal_parameter({5, 24}, 5)->value());
    std::vector<std::vector<float>> result = {values_of(y.value())};
    for (const ParameterPointer& parameter : {p.table, p.norm, p.weight, p.bias})
      result.push_back(values_of(parameter->variable.sink()->gradient()));
    return result;
  };
  EXPECT_EQ(run(masters), run(twins));
}

}  // namespace
}  // namespace qad
