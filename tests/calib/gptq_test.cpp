// GPTQ against optimal brain surgeon done the long way, and what it must be where nothing goes on.
#include "qad/calib/gptq.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "qad/formats/quantize.h"
#include "tests/support/near.h"

namespace qad {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Layer {
  explicit Layer(std::int64_t row_count, std::int64_t cols, std::int64_t tokens, std::uint64_t stream = 7)
      : rows(row_count),
        w(testing::normal_floats(rows * cols, 0.05, stream)),
        x(testing::normal_floats(tokens * cols, 1, stream + 1)),
        scales(QuantizedTensor::allocate(block_format("nvfp4"), rows, cols, 0x1p-8f)),
        moments({cols, cols}) {
    for (std::int64_t t = 0; t < tokens; ++t)  // inputs that go together
      for (std::int64_t i = 1; i < cols; ++i)
        x[static_cast<std::size_t>(t * cols + i)] += 0.7f * x[static_cast<std::size_t>(t * cols + i - 1)];
    const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> inputs(x.data(),
                                                                                                         tokens, cols);
    const Matrix sum = inputs.cast<double>().transpose() * inputs.cast<double>();
    for (std::int64_t i = 0; i < sum.size(); ++i) moments.data()[i] = static_cast<float>(sum.data()[i]);
    quantize(w.data(), scales);
  }

  [[nodiscard]] std::vector<float> rounded(const std::vector<float>& values) const {
    QuantizedTensor codes = scales;
    codes.codes = Tensor(scales.codes.shape(), DType::u8);
    quantize_with_scales(values.data(), codes);
    std::vector<float> result(values.size());
    dequantize_rows(codes, 0, rows, result.data());
    return result;
  }

  // tr((q - w)·H·(q - w)ᵀ)
  [[nodiscard]] double output_error(const std::vector<float>& values) const {
    const std::vector<float> q = rounded(values);
    const std::int64_t cols = scales.cols;
    double error = 0;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t i = 0; i < cols; ++i)
        for (std::int64_t j = 0; j < cols; ++j) {
          const auto a = static_cast<std::size_t>(r * cols + i), b = static_cast<std::size_t>(r * cols + j);
          error +=
              (static_cast<double>(q[a]) - w[a]) * moments.data()[i * cols + j] * (static_cast<double>(q[b]) - w[b]);
        }
    return error;
  }

  std::int64_t rows;
  std::vector<float> w, x;
  QuantizedTensor scales;
  Tensor moments;
};

// After each column the inverse of the remaining moments is made anew, by the formula of optimal brain surgeon: the
// rest of a row moves by -(w_p - q)/[H⁻¹]_pp · [H⁻¹]_p.
std::vector<float> by_brain_surgery(const Layer& layer, const GptqConfig& config,
                                    const std::vector<std::int64_t>& order) {
  const std::int64_t cols = layer.scales.cols;
  Matrix h(cols, cols);
  for (std::int64_t i = 0; i < cols; ++i)
    for (std::int64_t j = 0; j < cols; ++j) h(i, j) = layer.moments.data()[i * cols + j];
  h.diagonal().array() += config.damping * h.diagonal().mean();
  std::vector<float> result = layer.w;
  for (std::int64_t r = 0; r < layer.rows; ++r) {
    Eigen::VectorXd row(cols);
    for (std::int64_t i = 0; i < cols; ++i) row[i] = layer.w[static_cast<std::size_t>(r * cols + i)];
    std::vector<std::int64_t> left = order;
    while (!left.empty()) {
      const std::int64_t p = left.front(), count = std::ssize(left);
      Matrix part(count, count);
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t j = 0; j < count; ++j)
          part(i, j) = h(left[static_cast<std::size_t>(i)], left[static_cast<std::size_t>(j)]);
      const Matrix inverse = part.inverse();
      auto& value = result[static_cast<std::size_t>(r * cols + p)];
      value = static_cast<float>(row[p]);
      const double error = row[p] - layer.rounded(result)[static_cast<std::size_t>(r * cols + p)];
      for (std::int64_t i = 0; i < count; ++i)
        row[left[static_cast<std::size_t>(i)]] -= error / inverse(0, 0) * inverse(0, i);
      left.erase(left.begin());
    }
  }
  return result;
}

TEST(Gptq, IsOptimalBrainSurgeonColumnByColumn) {
  for (const ColumnOrder order : {ColumnOrder::none, ColumnOrder::largest_first}) {
    const Layer layer(4, 16, 100);
    const GptqConfig config{.order = order};
    const ErrorPaths paths = error_paths(layer.moments, config);
    EXPECT_EQ(paths.damping, config.damping);
    const auto diagonal = [&](std::int64_t i) { return layer.moments.data()[i * 17]; };
    EXPECT_EQ(std::ranges::is_sorted(paths.order, std::ranges::greater(), diagonal),
              order == ColumnOrder::largest_first);
    const std::vector<float> expected = by_brain_surgery(layer, config, paths.order);
    for (const std::int64_t block_size : {1, 5, 16, 128}) {
      std::vector<float> moved = layer.w;
      compensate(layer.scales, paths, block_size, moved.data());
      testing::expect_near("weights", moved, testing::doubles(expected), 1e-6);
      EXPECT_EQ(layer.rounded(moved), layer.rounded(expected));
    }
  }
}

TEST(Gptq, MakesOutputsBetterAndHasTheSameBitsOnAnyNumberOfThreads) {
  const Layer layer(50, 96, 400);
  const ErrorPaths paths = error_paths(layer.moments, {});
  std::vector<float> moved = layer.w, again = layer.w;
  set_threads(1);
  compensate(layer.scales, paths, 32, moved.data());
  set_threads(3);
  compensate(layer.scales, paths, 32, again.data());
  set_threads(0);
  EXPECT_EQ(moved, again);
  EXPECT_LT(layer.output_error(moved), 0.8 * layer.output_error(layer.w));
}

TEST(Gptq, WhereInputsDoNotGoTogetherItRoundsToNearest) {
  Layer layer(4, 32, 10);
  layer.moments.fill(0.0f);
  for (std::int64_t i = 0; i < 32; ++i) layer.moments.data()[i * 33] = i == 3 ? 0.0f : 1.0f + static_cast<float>(i % 5);
  std::vector<float> moved = layer.w;
  compensate(layer.scales, error_paths(layer.moments, {}), 8, moved.data());
  EXPECT_EQ(moved, layer.w);
}

// A column that never has an input stays, and changes no other.
TEST(Gptq, ColumnsWithoutInputsRoundToNearest) {
  Layer layer(4, 32, 100);
  std::vector<float> moved = layer.w;
  for (std::int64_t i = 0; i < 32; ++i) layer.moments.data()[9 * 32 + i] = layer.moments.data()[i * 32 + 9] = 0.0f;
  compensate(layer.scales, error_paths(layer.moments, {}), 128, moved.data());
  int differ = 0;
  for (std::size_t i = 0; i < moved.size(); ++i) {
    if (i % 32 == 9) {
      EXPECT_EQ(moved[i], layer.w[i]);
    }
    differ += moved[i] != layer.w[i] ? 1 : 0;
  }
  EXPECT_GT(differ, 100);
}

TEST(Gptq, TakesMoreDampingWhereThatAskedForIsNotEnough) {
  Layer layer(4, 32, 5);  // of rank 5
  const ErrorPaths paths = error_paths(layer.moments, {.damping = 0});
  EXPECT_GT(paths.damping, 0);
  EXPECT_FALSE(paths.factor.empty());
  layer.moments.data()[33] = -1e6f;  // nothing helps
  std::vector<float> moved = layer.w;
  const ErrorPaths none = error_paths(layer.moments, {});
  EXPECT_TRUE(none.factor.empty());
  compensate(layer.scales, none, 8, moved.data());
  EXPECT_EQ(moved, layer.w);
}

}  // namespace
}  // namespace qad
