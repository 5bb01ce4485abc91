// One of the tiny models of shared data's tiny-families, and what transformers said of it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "models/import/model_folder.h"
#include "tests/support/paths.h"

namespace qad::testing {

class TinyFamily {
 public:
  explicit TinyFamily(const std::string& name) : folder_(shared_data() / "tiny-families" / name) {}

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path reference(const std::string& name) const { return folder_ / "reference" / name; }
  [[nodiscard]] std::vector<std::vector<std::int32_t>> prompts() const {
    return nlohmann::json::parse(read_file(reference("prompts.json"), "prompts"));
  }
  [[nodiscard]] std::vector<std::int32_t> greedy() const {
    return nlohmann::json::parse(read_file(reference("generate.json"), "tokens"));
  }
  /// The values of a .npy file of FP32 numbers.
  [[nodiscard]] std::vector<float> numbers(const std::string& name) const {
    const std::string bytes = read_file(reference(name), "a NumPy array");
    const std::size_t begin = bytes.find('\n') + 1;
    EXPECT_NE(bytes.find("'<f4'"), std::string::npos) << name;
    std::vector<float> values((bytes.size() - begin) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(float));
    return values;
  }

 private:
  std::filesystem::path folder_;
};

/// A batch of one text; each token's label is the next one.
inline TokenBatch batch_of(const std::vector<std::int32_t>& ids) {
  TokenBatch batch;
  batch.ids = ids;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    batch.positions.push_back(static_cast<std::int32_t>(i));
    batch.labels.push_back(i + 1 < ids.size() ? ids[i + 1] : kNoLabel);
  }
  batch.valid.assign(ids.size(), 1);
  batch.segments = {{0, static_cast<std::int32_t>(ids.size())}};
  batch.document = {0};
  return batch;
}

/// Every value within `tolerance` of the reference.
inline void expect_close(const Tensor& values, std::span<const float> reference, double tolerance,
                         const std::string& what) {
  ASSERT_EQ(static_cast<std::size_t>(values.size()), reference.size()) << what;
  double worst = 0;
  for (std::size_t i = 0; i < reference.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(values.data()[i]) - static_cast<double>(reference[i])));
  EXPECT_LE(worst, tolerance) << what;
}

}  // namespace qad::testing
