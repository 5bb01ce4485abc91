// Parameters that no tensor holds: codes that a product reads as they are.
#include <gtest/gtest.h>

#include <algorithm>

#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "qad/quant/packed_tensor.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

TEST(KeptParameter, GivesTheLogitsOfItsValues) {
  const auto source = initialize_model(testing::small_config(), 1);
  std::int64_t packed = 0;
  const auto copy = [&](bool keeps_codes) {
    std::size_t next = 0;
    const ParameterList values = source->parameters();
    return make_model(source->config(), [&](const ParameterSpec& spec) -> ParameterPointer {
      const Tensor& value = values[next++]->value();
      if (spec.role != Role::weight) return make_parameter(spec.name, value, false);
      const BlockFormat& format = block_format("nvfp4");
      QuantizedTensor codes = QuantizedTensor::allocate(format, value.rows(), value.cols(), 1.0f / 1024);
      quantize(value.data(), codes);
      const auto kept = std::make_shared<const PackedTensor>(std::move(codes));
      if (!keeps_codes) return make_parameter(spec.name, kept->expand(), false);
      ++packed;
      return make_parameter(spec.name, kept);
    });
  };
  const auto kept = copy(true), dense = copy(false);
  EXPECT_GT(packed, 0);
  EXPECT_EQ(parameter_count(*kept), parameter_count(*dense));
  const TokenBatch batch = testing::small_batch();
  const Tensor expected = logits_of(*dense, dense->hidden_states(batch).value());
  const Tensor got = logits_of(*kept, kept->hidden_states(batch).value());
  EXPECT_TRUE(std::ranges::equal(got.span(), expected.span()));
}

}  // namespace
}  // namespace qad
