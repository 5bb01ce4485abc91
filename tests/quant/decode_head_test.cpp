// The head in another format while a model decodes: what it multiplies, what it costs, and that it goes away again.
#include "qad/quant/decode_head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/tape/batch_invariant.h"
#include "models/decode/generate.h"
#include "models/families/registry.h"
#include "qad/calib/calibrate.h"
#include "qad/formats/integer_product_reference.h"
#include "qad/quant/attach.h"
#include "qad/quant/packed_tensor.h"
#include "qad/train/head_effect.h"
#include "tests/support/error_of.h"
#include "tests/support/near.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

constexpr HeadFormat kAll[] = {HeadFormat::bf16, HeadFormat::fp8, HeadFormat::nvfp4};

std::vector<float> head_values(const Tensor& tensor) { return {tensor.span().begin(), tensor.span().end()}; }

std::unique_ptr<LanguageModel> bf16_model(bool tied) {
  const auto trained = initialize_model(testing::small_config(tied), 5);
  return make_model(trained->config(), [&](const ParameterSpec& spec) {
    for (const ParameterPointer& parameter : trained->parameters())
      if (parameter->name == spec.name) return make_parameter(spec.name, parameter->value().to(DType::bf16), false);
    return ParameterPointer();
  });
}

Tensor hidden_of(LanguageModel& model) {
  const NoGradScope no_grad;
  return model.hidden_states(testing::small_batch()).value();
}

TEST(DecodeHead, MultipliesInItsFormatAndGoesAwayAgain) {
  for (const bool tied : {true, false}) {
    const auto model = bf16_model(tied);
    const Tensor hidden = hidden_of(*model);
    const std::vector<float> before = head_values(logits_of(*model, hidden));
    const Tensor weight = model->head().members.front().weight->value();
    for (const HeadFormat format : kAll) {
      {
        const DecodeHead head(*model, format);
        EXPECT_EQ(head_values(hidden_of(*model)), head_values(hidden)) << "the embedding stays";
        const Operand& operand = model->head().members.front().weight->operand().values();
        const Tensor logits = logits_of(*model, hidden);
        std::vector<double> expected;
        if (format == HeadFormat::nvfp4) {
          const Tensor floats = as_f32(weight);
          const BlockFormat& nvfp4 = block_format("nvfp4");
          const float scale = tensor_scale_from_amax(nvfp4, amax(floats.data(), floats.size()), TensorScaleRound::pow2);
          auto w = QuantizedTensor::allocate(nvfp4, weight.rows(), weight.cols(), scale);
          quantize(floats.data(), w);
          const auto x = model->head().input_slot->apply(hidden, 0, {}).operand;
          std::vector<float> sums(static_cast<std::size_t>(logits.size()));
          reference::integer_product<double>(dynamic_cast<const PackedTensor&>(*x).tensor(), w, sums.data());
          expected = testing::doubles(sums);
        } else {
          expected = testing::doubles(times_transposed(hidden, *operand_of(operand.expand())).span());
        }
        testing::expect_near("logits", logits.span(), expected, 1e-6);
        EXPECT_EQ(head_values(logits) == before, format == HeadFormat::bf16) << enum_name(format);
      }
      EXPECT_EQ(head_values(logits_of(*model, hidden)), before);
    }
    const DecodeHead as_it_is(*model, {});
    EXPECT_EQ(head_values(logits_of(*model, hidden)), before);
  }
}

TEST(DecodeHead, OfAQuantizedHeadToo) {
  const auto model = initialize_model(testing::small_config(false), 5);
  QuantizeConfig config;
  config.rules = {{"lm_head", "mxfp4", "mxfp4"}};
  auto quantizers = attach_quantizers(*model, config);
  calibrate(*model, quantizers, {testing::small_batch()}, {TensorScaleSource::calibration});
  const Tensor hidden = hidden_of(*model);
  const Linear& member = model->head().members.front();
  const Tensor values = member.weight->operand().values().expand();
  const std::vector<float> before = head_values(logits_of(*model, hidden));
  {
    const DecodeHead head(*model, HeadFormat::bf16);
    EXPECT_EQ(head_values(logits_of(*model, hidden)), head_values(times_transposed(hidden, *operand_of(values))));
  }
  EXPECT_EQ(head_values(logits_of(*model, hidden)), before);
}

// No text is needed: what comes out of the norm fits, whatever goes in.
TEST(DecodeHead, NoInputIsCut) {
  const auto model = initialize_model(testing::small_config(), 5);
  const Tensor factors = model->final_norm().value();
  for (std::int64_t i = 0; i < factors.size(); ++i) factors.data()[i] = i == 7 ? -3.7f : 0.1f;
  const DecodeHead head(*model, HeadFormat::nvfp4);
  const Tensor lone = Tensor::zeros({1, 32});
  lone.data()[7] = 1e4f;  // all that the row has: the norm makes √C of it, times the factor
  const NoGradScope no_grad;
  const Tensor normed = model->finish(Variable(lone)).value();
  EXPECT_NEAR(normed.data()[7], -3.7f * std::sqrt(32.0f), 1e-3);
  const auto& inputs = dynamic_cast<ActivationQuantizer&>(*model->head().input_slot);
  EXPECT_LE(std::abs(normed.data()[7]), inputs.format().saturation_limit(inputs.scale().value()));
}

TEST(DecodeHead, SaysWhatItChanges) {
  const auto model = bf16_model(true);
  const std::vector<TokenBatch> text = {testing::small_batch()};
  const HeadEffect none = head_effect(*model, HeadFormat::bf16, text), fp8 = head_effect(*model, HeadFormat::fp8, text),
                   nvfp4 = head_effect(*model, HeadFormat::nvfp4, text);
  EXPECT_EQ(none.kl, 0.0);
  EXPECT_EQ(none.same_top1, 1.0);
  EXPECT_EQ(none.tokens, 12);
  EXPECT_GT(fp8.kl, 0.0);
  EXPECT_GT(nvfp4.kl, 3 * fp8.kl);
  EXPECT_LT(nvfp4.kl, 0.01);
  EXPECT_EQ(text_of(none, HeadFormat::bf16),
            "head in bf16: KL 0 from the head as it is, the same top-1 for 100.00 % of 12 tokens");
}

TEST(DecodeHead, TextDoesNotDependOnTheBatch) {
  const auto model = bf16_model(true);
  GenerateConfig config;
  config.max_tokens = 40;
  config.temperature = 0.9;
  const std::vector<std::vector<std::int32_t>> prompts = {{3, 4}, {9}, {11, 60, 2, 5}, {1, 1, 1}};
  for (const HeadFormat format : kAll) {
    const DecodeHead head(*model, format);
    const auto together = generate(*model, prompts, config);
    for (std::size_t i = 0; i < prompts.size(); ++i)
      EXPECT_EQ(generate(*model, {prompts[i]}, config, static_cast<std::int64_t>(i))[0].ids, together[i].ids);
  }
}

TEST(DecodeHead, RefusesASizeWithoutWholeBlocks) {
  ModelConfig config = testing::small_config();
  config.hidden_size = 40;
  const auto model = initialize_model(config, 5);
  EXPECT_EQ(testing::error_of([&] { const DecodeHead head(*model, HeadFormat::nvfp4); }),
            "decode.head: nvfp4: expected a hidden size that is a multiple of 16, got 40 (fp8 takes any)");
  const DecodeHead head(*model, HeadFormat::fp8);
}

}  // namespace
}  // namespace qad
