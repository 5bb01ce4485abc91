// Keys and values in any number format: what comes out of their slots, and which heads a format fits.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/base/error.h"
#include "qad/calib/calibrate.h"
#include "qad/quant/layer_refusals.h"
#include "tests/support/error_of.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using testing::small_batch;

// Heads of `width`.
ModelConfig with_heads(std::int64_t width) {
  ModelConfig config = testing::small_config(false);
  config.hidden_size = 4 * width;
  return config;
}

QuantizeConfig cache_in(const std::string& format) {
  QuantizeConfig config;
  config.kv_cache = format;
  return config;
}

Tensor cached_states(LanguageModel& model) {
  const NoGradScope no_grad;
  return model.hidden_states(small_batch()).value();
}

TEST(CacheFormat, EveryFormatQuantizesKeysAndValuesByItsDefinition) {
  for (const BlockFormat& format : block_formats()) {
    SCOPED_TRACE(format.name);
    const auto model = initialize_model(with_heads(128), 1);
    const Tensor before = cached_states(*model);
    QuantizeConfig config = cache_in(std::string(format.name));
    config.unquantized = UnquantizedType::fp32;
    QuantizerSet set = attach_quantizers(*model, config);
    calibrate(*model, set, {small_batch()});
    EXPECT_TRUE(set.linears().front().weights == nullptr);
    ASSERT_EQ(set.caches().size(), 2u);
    for (const auto& quantizer : {set.caches()[0].keys, set.caches()[1].values}) {
      EXPECT_EQ(&quantizer->format(), &format);
      const TensorScale& scale = quantizer->scale();
      EXPECT_EQ(scale.value(), tensor_scale_from_amax(format, scale.amax(), TensorScaleRound::pow2));
      Tensor x({3, 256});
      for (std::int64_t i = 0; i < x.size(); ++i) x.data()[i] = std::sin(static_cast<float>(i)) * scale.amax();
      QuantizedTensor codes = QuantizedTensor::allocate(format, 3, 256, scale.value());
      std::vector<float> expected(768);
      quantize(x.data(), codes, expected.data());
      const Tensor got = quantizer->apply(x, 0).value;
      EXPECT_TRUE(std::ranges::equal(got.span(), expected));
    }
    const Tensor after = cached_states(*model);
    EXPECT_FALSE(std::ranges::equal(before.span(), after.span()));
    const Variable hidden = model->hidden_states(small_batch());
    backward(hidden, Tensor::full(hidden.shape(), 1.0f));
    for (const LinearGroup* group : model->linear_groups()) {
      if (group == &model->head()) continue;
      for (const Linear& member : group->members)
        EXPECT_TRUE(member.weight->variable.sink()->gradient().defined()) << member.name;
    }
  }
}

TEST(CacheFormat, BlocksDoNotGoOverHeads) {
  const auto told = [](std::int64_t width, const std::string& format) {
    const auto refusals = cache_refusals(with_heads(width), cache_in(format));
    return refusals.empty() ? std::string() : std::string(Error(refusals.front().problem).what());
  };
  EXPECT_EQ(told(8, "nvfp4"),
            "keys and values: expected a head_dim that is a multiple of 16 for nvfp4, got 8 (choose another format for "
            "kv_cache, or none)");
  EXPECT_EQ(told(16, "nvfp4"), "");
  EXPECT_NE(told(16, "mxfp4").find("a multiple of 32 for mxfp4, got 16"), std::string::npos);
  EXPECT_EQ(told(32, "mxfp4"), "");
  for (const char* whole_rows : {"fp8", "fp8_channel", "int8", "none"}) EXPECT_EQ(told(8, whole_rows), "");
  const auto model = initialize_model(with_heads(8), 1);
  EXPECT_NE(testing::error_of([&] {
              static_cast<void>(attach_quantizers(*model, cache_in("nvfp4")));
            }).find("keys and values: expected a head_dim"),
            std::string::npos);
}

}  // namespace
}  // namespace qad
