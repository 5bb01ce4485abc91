// Beside the programs that people know: block scales of ModelOpt, GPTQ's errors and AWQ's choices of ModelOpt and
// llm-compressor (scripts/make_calibration_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "qad/calib/gptq.h"
#include "qad/calib/smoothing.h"
#include "qad/formats/block_scales.h"
#include "qad/formats/quantize.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

std::vector<std::uint8_t> bytes_of(const std::string& hexadecimal) {
  std::vector<std::uint8_t> bytes(hexadecimal.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    std::from_chars(hexadecimal.data() + 2 * i, hexadecimal.data() + 2 * i + 2, bytes[i], 16);
  return bytes;
}

Tensor bf16_matrix(const std::string& hexadecimal, const Shape& shape) {
  const auto bytes = bytes_of(hexadecimal);
  Tensor stored(shape, DType::bf16);
  EXPECT_EQ(bytes.size(), stored.bytes());
  std::memcpy(stored.raw(), bytes.data(), stored.bytes());
  return as_f32(stored);
}

struct GoldenLayer {
  explicit GoldenLayer(const nlohmann::json& json)
      : golden(json),
        w(bf16_matrix(json.at("weight"), {json.at("rows"), json.at("cols")})),
        x(bf16_matrix(json.at("inputs"), {json.at("tokens"), json.at("cols")})),
        codes(QuantizedTensor::allocate(block_format("nvfp4"), w.rows(), w.cols(), 1.0f)) {
    const auto scale = bytes_of(json.at("tensor_scale"));
    std::memcpy(&codes.tensor_scale, scale.data(), sizeof(float));
    quantize(w.data(), codes);
  }

  // Σ xᵀx, of whole rows or by blocks.
  [[nodiscard]] double moment(std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t t = 0; t < x.rows(); ++t)
      sum += static_cast<double>(x.data()[t * x.cols() + i]) * x.data()[t * x.cols() + j];
    return sum;
  }

  // tr(d·XᵀX·dᵀ) of a weight rounded under block scales.
  [[nodiscard]] double output_error(const Tensor& scales, const Tensor& moved) const {
    QuantizedTensor rounded = codes;
    rounded.codes = Tensor(codes.codes.shape(), DType::u8);
    rounded.scales = scales;
    quantize_with_scales(moved.data(), rounded);
    Tensor added(w.shape());
    dequantize_rows(rounded, 0, w.rows(), added.data());
    for (std::int64_t i = 0; i < w.size(); ++i) added.data()[i] -= w.data()[i];
    double error = 0;
    for (std::int64_t r = 0; r < w.rows(); ++r)
      for (std::int64_t t = 0; t < x.rows(); ++t) {
        double sum = 0;
        for (std::int64_t i = 0; i < w.cols(); ++i)
          sum += static_cast<double>(added.data()[r * w.cols() + i]) * x.data()[t * w.cols() + i];
        error += sum * sum;
      }
    return error;
  }

  nlohmann::json golden;
  Tensor w, x;
  QuantizedTensor codes;
};

std::vector<GoldenLayer> golden_layers() {
  std::vector<GoldenLayer> layers;
  for (const auto& json :
       nlohmann::json::parse(read_file(testing::source_dir() / "tests/calib/golden/layers.json", "goldens")))
    layers.emplace_back(json);
  return layers;
}

// Where bytes differ, what is made least must be the same but for rounding.
template <class ErrorOf>
void expect_same_scales(const std::string& what, const Tensor& found, const std::string& golden, ErrorOf&& error_of) {
  const auto expected = bytes_of(golden);
  ASSERT_EQ(std::ssize(expected), found.size()) << what;
  std::int64_t ties = 0;
  for (std::int64_t i = 0; i < found.size(); ++i) {
    const std::uint8_t ours = found.data<std::uint8_t>()[i], theirs = expected[static_cast<std::size_t>(i)];
    if (ours == theirs) continue;
    ++ties;
    EXPECT_NEAR(error_of(i, ours), error_of(i, theirs), 1e-5 * error_of(i, theirs)) << what << " block " << i;
  }
  EXPECT_LE(ties, found.size() / 100) << what;
  ::testing::Test::RecordProperty(what + " ties", static_cast<int>(ties));
}

TEST(CalibrationGoldens, ScalesAreModelOpts) {
  const BlockFormat& format = block_format("nvfp4");
  for (const GoldenLayer& layer : golden_layers()) {
    const std::string name = layer.golden.at("name");
    const std::int64_t cols = layer.w.cols();
    BlockMoments moments;
    for (std::int64_t i = 0; i < cols; ++i)
      for (std::int64_t j = 0; j < 16; ++j) moments.second.push_back(layer.moment(i, i / 16 * 16 + j));
    const auto error_of = [&](std::int64_t block, std::uint8_t code, bool by_outputs) {
      const float scale = format.scale->value(code) * layer.codes.tensor_scale;
      std::vector<double> added;
      for (std::int64_t i = 0; i < 16; ++i) {
        const float value = layer.w.data()[block * 16 + i];
        added.push_back(static_cast<double>(format.element->value(format.element->encode(value / scale)) * scale) -
                        value);
      }
      double error = 0;
      const std::int64_t at = block % (cols / 16) * 256;
      for (std::int64_t i = 0; i < 16; ++i)
        for (std::int64_t j = 0; j < 16; ++j) {
          const double weight =
              by_outputs ? moments.second[static_cast<std::size_t>(at + i * 16 + j)] : (i == j ? 1.0 : 0.0);
          error += added[static_cast<std::size_t>(i)] * added[static_cast<std::size_t>(j)] * weight;
        }
      return error;
    };
    expect_same_scales(
        name + " mse", scales_of_least_error(format, layer.w.data(), layer.w.rows(), cols, layer.codes.tensor_scale),
        layer.golden.at("mse"), [&](std::int64_t block, std::uint8_t code) { return error_of(block, code, false); });
    expect_same_scales(
        name + " local_hessian",
        scales_of_least_output_error(format, layer.w.data(), layer.w.rows(), cols, layer.codes.tensor_scale, moments),
        layer.golden.at("local_hessian"),
        [&](std::int64_t block, std::uint8_t code) { return error_of(block, code, true); });
  }
}

TEST(CalibrationGoldens, GptqsErrorIsTheirs) {
  for (const GoldenLayer& layer : golden_layers()) {
    const std::int64_t cols = layer.w.cols();
    Tensor moments({cols, cols});
    for (std::int64_t i = 0; i < cols; ++i)
      for (std::int64_t j = 0; j < cols; ++j) moments.data()[i * cols + j] = static_cast<float>(layer.moment(i, j));
    const Tensor moved = layer.w.clone();
    compensate(layer.codes, error_paths(moments, {}), 128, moved.data());
    const double ours = layer.output_error(layer.codes.scales, moved);
    const nlohmann::json& theirs = layer.golden.at("gptq");
    for (const char* program : {"modelopt", "llmcompressor"}) {
      const double error = theirs.at(program);
      EXPECT_NEAR(ours, error, 0.01 * error) << layer.golden.at("name") << " " << program;
    }
    const double nearest = theirs.at("nearest");
    EXPECT_NEAR(layer.output_error(layer.codes.scales, layer.w), nearest, 1e-4 * nearest);
  }
}

TEST(CalibrationGoldens, AwqChoosesLlmCompressorsStrength) {
  for (const GoldenLayer& layer : golden_layers()) {
    const std::vector<double> errors = layer.golden.at("awq");
    const AwqChoice choice = choose_awq(layer.x, std::span(&layer.w, 1), block_format("nvfp4"), nullptr, 20);
    EXPECT_EQ(choice.index, std::ranges::min_element(errors) - errors.begin()) << layer.golden.at("name");
    for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(choice.errors[i], errors[i], 2e-2 * errors[i]) << i;
  }
}

}  // namespace
}  // namespace qad
