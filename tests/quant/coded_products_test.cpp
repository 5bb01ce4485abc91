// Products of codes in a model: a layer's forward is the definition's, no tensor holds the input's values, gradients
// come from those values, and a token's logits do not depend on what is computed beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "autograd/kernels/table.h"
#include "autograd/ops/experts.h"
#include "autograd/ops/fused_linear_loss.h"
#include "qad/formats/integer_product_reference.h"
#include "tests/quant/quantized_group.h"

namespace qad {
namespace {

using Floats = std::vector<float>;

Floats floats_of(const Tensor& tensor) { return {tensor.span().begin(), tensor.span().end()}; }

struct Group : testing::QuantizedGroup {
  explicit Group(const char* format, TensorScaleRound round = TensorScaleRound::pow2,
                 const char* weight_format = nullptr)
      : QuantizedGroup(format, weight_format != nullptr ? weight_format : format, round) {}
  [[nodiscard]] Floats by_definition(const Linear& member) const {
    Floats out(static_cast<std::size_t>(kTokens * member.out_features()));
    reference::integer_product<float>(input_codes(), codes(member), out.data());
    return out;
  }
};
constexpr std::int64_t kTokens = Group::kTokens, kIn = Group::kIn;
constexpr auto kOuts = Group::kOuts;

TEST(CodedProducts, AForwardIsThatOfTheDefinition) {
  for (const char* format : {"nvfp4", "mxfp4"})
    for (const TensorScaleRound round : {TensorScaleRound::pow2, TensorScaleRound::none}) {
      const Group g(format, round);
      EXPECT_FALSE(g.group.input(g.input).value().defined());
      const std::vector<Variable> outputs = g.group(g.input);
      for (std::size_t i = 0; i < outputs.size(); ++i)
        EXPECT_EQ(floats_of(outputs[i].value()), g.by_definition(g.group.members[i])) << format;
    }
}

// A weight that is only read, laid out for products alone, gives the same.
TEST(CodedProducts, AWeightThatIsOnlyReadGivesTheSame) {
  const Group g("nvfp4");
  for (const Linear& member : g.group.members) {
    const InterleavedTensor weight(g.codes(member));
    EXPECT_EQ(floats_of(times_transposed(g.group.input(g.input), weight)), g.by_definition(member));
    EXPECT_EQ(floats_of(weight.expand()), floats_of(PackedTensor(g.codes(member)).expand()));
    Tensor middle({3, kIn});
    weight.expand_rows(15, 18, middle.data());
    EXPECT_EQ(floats_of(middle), floats_of(weight.expand().slice(15, 18)));
  }
}

// Codes of two formats have values between them.
TEST(CodedProducts, OtherPairsOfFormatsGoByValues) {
  for (const auto& [inputs, weights] : {std::pair{"nvfp4", "mxfp4"}, {"nvfp4", "int8"}, {"fp8", "nvfp4"}}) {
    const Group g(inputs, TensorScaleRound::none, weights);
    EXPECT_TRUE(g.group.input(g.input).value().defined());
    const Tensor x = g.values();
    const std::vector<Variable> outputs = g.group(g.input);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      testing::expect_near(
          "output", outputs[i].value().span(),
          testing::doubles(times_transposed(x, *operand_of(PackedTensor(g.codes(g.group.members[i])).expand())).span()),
          1e-6);
  }
}

TEST(CodedProducts, GradientsAreThoseOfTheValues) {
  const Group g("nvfp4");
  const std::vector<Variable> outputs = g.group(g.input);
  const Tensor dy = Tensor::from(testing::normal_floats(kTokens * kOuts[0], 1.0, 9), {kTokens, kOuts[0]});
  backward(outputs[0], dy.clone());
  const Linear& member = g.group.members[0];
  const Tensor dx({kTokens, kIn});
  member.weight->operand().values().multiply(dy, false, dx);
  EXPECT_EQ(floats_of(g.input.sink()->gradient()), floats_of(dx));
  const Tensor dw({kOuts[0], kIn}), x = g.values();
  kernel_table().gemm(kernels::Transpose::yes, kernels::Transpose::no, kOuts[0], kIn, kTokens, dy.data(), kOuts[0],
                      x.data(), kIn, false, dw.data(), kIn);
  EXPECT_EQ(floats_of(member.weight->variable.sink()->gradient()), floats_of(dw));
}

// Tokens that go to an expert take their codes along.
TEST(CodedProducts, GatheredTokensKeepTheirCodes) {
  const Group g("nvfp4");
  const auto places = std::make_shared<const std::vector<std::int64_t>>(std::vector<std::int64_t>{0, 9, 10, 73});
  const Variable own = gather_tokens(g.group.input(g.input), places, 2);
  EXPECT_FALSE(own.value().defined());
  const Linear& member = g.group.members[1];
  const Variable y = member(own);
  const Floats all = g.by_definition(member);
  for (std::size_t i = 0; i < places->size(); ++i) {
    const auto begin = all.begin() + (*places)[i] / 2 * kOuts[1];
    EXPECT_TRUE(std::equal(begin, begin + kOuts[1], y.value().data() + static_cast<std::int64_t>(i) * kOuts[1]));
  }
  backward(y, Tensor::full(y.shape(), 1.0f));
  EXPECT_EQ(g.input.sink()->gradient().shape(), g.input.shape());
}

// A quantized head: logits chunk by chunk are those of all tokens at once, and so is the loss's gradient.
TEST(CodedProducts, AHeadReadsCodesChunkByChunk) {
  const auto run = [](std::size_t chunk_bytes) {
    const Group g("nvfp4");
    const Linear& head = g.group.members[0];
    const std::vector<std::int32_t> labels(kTokens, 3);
    const Floats weights(kTokens, 0.25f);
    const Variable hidden = g.group.input(g.input, std::array{&head});
    EXPECT_FALSE(hidden.value().defined());
    const FusedLoss loss = fused_linear_loss(hidden, head.weight->operand(), nullptr, labels, weights,
                                             {kernels::RowLoss::cross_entropy, 1.0f, chunk_bytes});
    backward(loss.loss);
    return std::pair{loss.rows, floats_of(g.input.sink()->gradient())};
  };
  const auto whole = run(std::size_t{1} << 20), chunked = run(1);
  EXPECT_EQ(whole.first, chunked.first);
  EXPECT_EQ(whole.second.size(), chunked.second.size());
  for (std::size_t i = 0; i < whole.second.size(); ++i) EXPECT_NEAR(whole.second[i], chunked.second[i], 1e-5);
}

}  // namespace
}  // namespace qad
