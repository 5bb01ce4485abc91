// Calibration of a model of which one block at a time is in memory finds what it finds for the whole one, bit for bit,
// also where it is killed in between.
#include "qad/run/streamed_calibration.h"

#include <gtest/gtest.h>

#include "models/import/model_folder.h"
#include "qad/calib/calibrate.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_family.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

QuantizeConfig rules() {
  QuantizeConfig config;
  config.rules = {{"*", "nvfp4", "nvfp4"}, {"lm_head"}};
  config.kv_cache = "fp8";
  return config;
}

std::vector<TokenBatch> batches(std::int64_t vocabulary) {
  std::vector<TokenBatch> all;
  for (int b = 0; b < 3; ++b) {
    std::vector<std::int32_t> ids;
    for (int t = 0; t < 40 + b; ++t) ids.push_back(static_cast<std::int32_t>((t * 37 + b * 101 + 3) % vocabulary));
    all.push_back(testing::batch_of(ids));
  }
  return all;
}

// Scales of inputs, keys and values by name.
std::map<std::string, double> input_scales(const QuantizerSet& quantizers) {
  std::map<std::string, double> scales;
  for (const auto& [name, value] :
       quantizers.only([](const Quantizer& one) { return dynamic_cast<const WeightQuantizer*>(&one) == nullptr; })
           .state())
    scales[name] = value;
  return scales;
}

struct Killed {};

void expect_same_as_whole(const fs::path& folder, bool in_files) {
  SCOPED_TRACE(folder.string());
  const auto whole = trainable_copy(*load_model(folder, WeightType::bf16));
  const std::vector<TokenBatch> text = batches(whole->config().vocab_size);
  QuantizerSet of_whole = attach_quantizers(*whole, rules());
  calibrate(*whole, of_whole, text);

  const testing::TemporaryFolder place;
  const RunInputs inputs = {{"text", "a hash"}};
  for (std::size_t killed_after = 0;; ++killed_after) {
    StreamedModel source(folder, WeightType::bf16);
    QuantizerSet quantizers = attach_quantizers(source.model(), rules());
    StreamedCalibration calibration({place / "state"},
                                    {.source = source,
                                     .quantizers = quantizers,
                                     .batches = text,
                                     .inputs = inputs,
                                     .part_found =
                                         [&](std::size_t part) {
                                           if (part == killed_after) throw Killed();
                                         },
                                     .in_files = in_files},
                                    false);
    // In memory what parts give is saved every half minute alone, so there it begins again.
    EXPECT_EQ(calibration.first(), in_files && killed_after > 0 ? killed_after - 1 : 0) << killed_after;
    try {
      calibrate_in_parts(source.model(), quantizers, text, {}, calibration);
    } catch (const Killed&) {
      continue;
    }
    EXPECT_GT(killed_after, source.model().blocks().size());
    EXPECT_EQ(input_scales(quantizers), input_scales(of_whole));
    break;
  }
}

TEST(StreamedCalibration, OfStoriesIsThatOfTheWholeModel) {
  QAD_REQUIRE_SHARED_DATA();
  for (const bool in_files : {false, true})
    expect_same_as_whole(testing::shared_data() / "tinystories-656k-hf", in_files);
}

TEST(StreamedCalibration, OfExpertsToo) {
  QAD_REQUIRE_SHARED_DATA();
  if (!fs::exists(testing::TinyFamily("mixtral").folder())) GTEST_SKIP() << "no tiny families";
  for (const bool in_files : {false, true}) expect_same_as_whole(testing::TinyFamily("mixtral").folder(), in_files);
}

}  // namespace
}  // namespace qad
