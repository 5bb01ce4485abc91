// The algorithms that see inputs, on whole models: what they leave behind, and what that does to outputs.
#include "qad/calib/algorithms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "data/tokenizer/tokenizer.h"
#include "qad/calib/calibrate.h"
#include "qad/calib/seen_inputs.h"
#include "qad/formats/block_scales.h"
#include "tests/support/error_of.h"
#include "tests/support/log_of.h"
#include "tests/support/near.h"
#include "tests/support/paths.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

TokenBatch batch_of(std::vector<std::int32_t> ids) {
  TokenBatch batch = testing::small_batch();
  const auto size = static_cast<std::int32_t>(ids.size());
  batch.labels.assign(ids.size(), kNoLabel);
  batch.valid.assign(ids.size(), 1);
  batch.positions.clear();
  for (std::int32_t t = 0; t < size; ++t) batch.positions.push_back(t);
  batch.ids = std::move(ids);
  batch.segments = {{0, size}};
  return batch;
}

std::vector<TokenBatch> some_batches() {
  std::vector<TokenBatch> batches;
  for (std::int32_t b = 0; b < 4; ++b) {
    std::vector<std::int32_t> ids;
    for (std::int32_t t = 0; t < 40; ++t) ids.push_back((t * t * 7 + 3 * t * b + b) % 64);
    batches.push_back(batch_of(std::move(ids)));
  }
  return batches;
}

ModelConfig config_of(bool with_experts) {
  ModelConfig config = testing::small_config();
  config.initializer_range = 0.2;
  if (!with_experts) return config;
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.experts = ExpertsConfig{.num_experts = 8, .num_experts_per_tok = 2, .moe_intermediate_size = 32};
  return config;
}

struct Calibrated {
  explicit Calibrated(CalibrationKind kind, const std::vector<TokenBatch>& batches = some_batches(),
                      const std::string& inputs = "nvfp4", bool with_experts = false,
                      const CalibrateConfig& config = {})
      : model(initialize_model(config_of(with_experts), 1)),
        set(attach_quantizers(*model, testing::quantize_blocks("nvfp4", inputs), kind)) {
    calibrate(*model, set, batches, {}, config);
  }
  std::unique_ptr<LanguageModel> model;
  QuantizerSet set;
};

std::vector<std::uint8_t> bytes_of(const Tensor& tensor) {
  const auto* const first = reinterpret_cast<const std::uint8_t*>(tensor.raw());
  return {first, first + tensor.bytes()};
}

std::map<std::string, std::vector<std::uint8_t>> all_bytes(const Calibrated& one) {
  std::map<std::string, std::vector<std::uint8_t>> bytes;
  for (const auto& [name, tensor] : one.set.state_tensors()) bytes[name] = bytes_of(tensor);
  for (const ParameterPointer& parameter : one.model->parameters())
    bytes[parameter->name] = bytes_of(parameter->value());
  return bytes;
}

TEST(CalibrationAlgorithms, HaveTheSameBitsOnAnyNumberOfThreadsAndKeepTheirScales) {
  for (const bool with_experts : {false, true})
    for (const CalibrationKind kind : {CalibrationKind::local_hessian, CalibrationKind::gptq}) {
      set_threads(1);
      const Calibrated one(kind, some_batches(), "nvfp4", with_experts);
      set_threads(3);
      const Calibrated again(kind, some_batches(), "nvfp4", with_experts);
      set_threads(0);
      EXPECT_EQ(all_bytes(one), all_bytes(again));
      const auto found = one.set.state_tensors();
      for (const LinearQuantizers& linear : one.set.linears())
        EXPECT_EQ(found.contains(linear.layer + ".weight.block_scales"), linear.weights != nullptr) << linear.layer;
    }
}

TEST(CalibrationAlgorithms, GptqMovesMastersAndLocalHessianDoesNot) {
  const auto untouched = initialize_model(config_of(false), 1);
  const auto weight = [](LanguageModel& model) {
    return bytes_of(model.linear_groups()[2]->members[0].weight->value());
  };
  EXPECT_EQ(weight(*Calibrated(CalibrationKind::local_hessian).model), weight(*untouched));
  EXPECT_NE(weight(*Calibrated(CalibrationKind::gptq).model), weight(*untouched));
}

// What the moments say is what the outputs do: by brute force over the outputs themselves.
TEST(LocalHessian, ChoosesTheScaleWhoseOutputsAreClosest) {
  const BlockFormat& format = block_format("nvfp4");
  for (const bool rounds_inputs : {false, true}) {
    const std::int64_t tokens = 64, rows = 8;
    const auto w = testing::normal_floats(rows * 16, 0.05, 1);
    auto x = testing::normal_floats(tokens * 16, 1, 2);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += x[i / 16 * 16];
    std::vector<float> read = x;
    if (rounds_inputs) {
      QuantizedTensor codes = QuantizedTensor::allocate(format, tokens, 16, 0x1p-9f);
      quantize(x.data(), codes, read.data());
    }
    BlockMoments moments{std::vector<double>(256), std::vector<double>(rounds_inputs ? 256 : 0)};
    for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t)
      for (std::size_t i = 0; i < 16; ++i)
        for (std::size_t j = 0; j < 16; ++j) {
          const double left = read[t * 16 + i];
          moments.second[i * 16 + j] += left * read[t * 16 + j];
          if (rounds_inputs)
            moments.coupling[i * 16 + j] += left * (static_cast<double>(read[t * 16 + j]) - x[t * 16 + j]);
        }
    const float tensor_scale = 0x1p-12f;
    const Tensor found = scales_of_least_output_error(format, w.data(), rows, 16, tensor_scale, moments);
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
      const auto error_of = [&](std::uint32_t code) {
        const float scale = format.scale->value(code) * tensor_scale;
        double error = 0;
        for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
          double difference = 0;
          for (std::size_t i = 0; i < 16; ++i) {
            const float value = w[r * 16 + i];
            const float rounded = format.element->value(format.element->encode(value / scale)) * scale;
            difference += static_cast<double>(read[t * 16 + i]) * rounded - static_cast<double>(x[t * 16 + i]) * value;
          }
          error += difference * difference;
        }
        return error;
      };
      double least = error_of(1);
      for (std::uint32_t code = 2; code < 127; ++code) least = std::min(least, error_of(code));
      EXPECT_NEAR(error_of(found.data<std::uint8_t>()[r]), least, 1e-9 * least) << r;
    }
  }
}

TEST(CalibrationAlgorithms, TellOfFewTokens) {
  const auto few = [](CalibrationKind kind, bool with_experts) {
    return testing::log_of([&] { const Calibrated one(kind, {testing::small_batch()}, "nvfp4", with_experts); });
  };
  testing::expect_mentions(few(CalibrationKind::gptq, false), {"gptq: fewer tokens than columns came to 7 layers",
                                                               "model.layers.0.self_attn.q_proj (12 for 32)"});
  testing::expect_mentions(
      few(CalibrationKind::local_hessian, true),
      {"local_hessian: fewer tokens than columns of a block came to 28 layers, whose scales mse finds"});
  EXPECT_EQ(few(CalibrationKind::max, false).find("tokens"), std::string::npos);
  // Of rank 12, without damping.
  CalibrateConfig bare;
  bare.gptq.damping = 0;
  testing::expect_mentions(
      testing::log_of(
          [&] { const Calibrated one(CalibrationKind::gptq, {testing::small_batch()}, "nvfp4", false, bare); }),
      {"gptq: damping 0 leaves the moments of the inputs of 7 layers not positive definite; took more: "
       "model.layers.0.self_attn.q_proj (1e-06)"});
}

// Σ over tokens of the squared error of a layer's outputs: of what it reads, and beside what it would give unrounded.
double output_error(const LinearQuantizers& linear, const std::vector<float>& original,
                    const std::vector<Tensor>& read) {
  const Tensor added = linear.weights->apply(linear.weight->value(), linear.weight->version()).operand->expand();
  for (std::size_t i = 0; i < original.size(); ++i) added.data()[i] -= original[i];
  double error = 0;
  for (const Tensor& x : read)
    for (const float value : times_transposed(x, *operand_of(added)).span())
      error += static_cast<double>(value) * value;
  return error;
}

TEST(CalibrationAlgorithms, OnEveryLayerOfTheStoryModelOutputsAreBestByGptq) {
  QAD_REQUIRE_SHARED_DATA();
  const auto folder = testing::shared_data() / "tinystories-656k-hf";
  const std::string text =
      read_file(testing::shared_data() / "tinystories-sample/tinystories_sample.txt", "stories").substr(0, 6000);
  std::vector<std::int32_t> ids = load_tokenizer(folder)->encode(text);
  std::vector<TokenBatch> batches;
  for (std::size_t begin = 0; begin + 256 <= ids.size(); begin += 256)
    batches.push_back(batch_of(
        {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.begin() + static_cast<std::ptrdiff_t>(begin) + 256}));
  for (const char* inputs : {"none", "nvfp4"}) {
    const auto model = trainable_copy(*load_model(folder, WeightType::bf16));
    QuantizerSet set = attach_quantizers(*model, testing::quantize_blocks("nvfp4", inputs), CalibrationKind::gptq);
    int layers = 0;
    double by_outputs = 0;
    calibrate_by_block(*model, set, batches, {}, [&](const QuantizerSet& part, const ShowInputs& show_inputs) {
      std::vector<const LinearQuantizers*> linears;
      std::map<const LinearQuantizers*, std::vector<float>> original;
      std::map<const LinearQuantizers*, std::vector<Tensor>> read;
      for (const LinearQuantizers& linear : part.linears()) {
        linears.push_back(&linear);
        const auto values = linear.weight->value().span();
        original[&linear].assign(values.begin(), values.end());
      }
      show_read(linears, show_inputs, [&](const ReadersOfOne& readers, const Tensor&, const Tensor& rounded) {
        for (const LinearQuantizers* one : readers) read[one].push_back(rounded.clone());
      });
      std::map<CalibrationKind, std::vector<double>> errors;
      for (const CalibrationKind kind :
           {CalibrationKind::max, CalibrationKind::mse, CalibrationKind::local_hessian, CalibrationKind::gptq}) {
        const CalibrationAlgorithm& algorithm = calibration_algorithm(kind);
        if (algorithm.find_scales != nullptr) algorithm.find_scales(linears, show_inputs, {});
        for (const LinearQuantizers* one : linears)
          errors[kind].push_back(output_error(*one, original[one], read[one]));
      }
      for (std::size_t i = 0; i < linears.size(); ++i, ++layers) {
        const auto of = [&](CalibrationKind kind) { return errors[kind][i]; };
        EXPECT_LT(of(CalibrationKind::gptq), of(CalibrationKind::mse)) << linears[i]->layer;
        EXPECT_LT(of(CalibrationKind::gptq), of(CalibrationKind::local_hessian)) << linears[i]->layer;
        EXPECT_LT(of(CalibrationKind::local_hessian), of(CalibrationKind::max)) << linears[i]->layer;
        by_outputs += of(CalibrationKind::local_hessian) / of(CalibrationKind::mse);  // blocks do not see each other
        EXPECT_LT(of(CalibrationKind::mse), of(CalibrationKind::max)) << linears[i]->layer;
      }
    });
    EXPECT_EQ(layers, 14);
    EXPECT_LT(by_outputs, 0.97 * layers);
  }
}

}  // namespace
}  // namespace qad
