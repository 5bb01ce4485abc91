// Standard errors over documents, by their definition and against what many samples of known text really scatter by.
#include "qad/train/document_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/base/random.h"

namespace qad {
namespace {

// Ragged documents of 20 to 59 tokens. What a document is like counts for as much as what a token is like, so that
// tokens of one document are far from independent.
std::vector<DocumentValue> sample(std::int64_t documents, Random& random) {
  std::vector<DocumentValue> values;
  for (std::int64_t document = 0; document < documents; ++document) {
    const double level = random.normal();
    const std::int64_t tokens = 20 + random.below(40);
    for (std::int64_t token = 0; token < tokens; ++token)
      values.push_back({document, std::exp(level + random.normal())});
  }
  return values;
}

struct Scatter {
  double sum = 0, squares = 0, errors = 0, count = 0;
  void add(double value, double standard_error) {
    sum += value, squares += value * value, errors += standard_error, ++count;
  }
  // The mean of the estimated standard errors over the true one.
  [[nodiscard]] double ratio() const {
    const double mean = sum / count;
    return errors / count / std::sqrt(squares / count - mean * mean);
  }
};

TEST(DocumentStatistics, ErrorsAreWhatSamplesScatterBy) {
  Random random(3, stream_of("documents"));
  Scatter means, p90, p99;
  for (int i = 0; i < 400; ++i) {
    const std::vector<DocumentValue> values = sample(150, random);
    DocumentMean mean;
    for (const DocumentValue& value : values) mean.add(value.document, value.value);
    means.add(mean.mean(), mean.standard_error());
    for (auto [scatter, fraction] : {std::pair{&p90, 0.90}, std::pair{&p99, 0.99}}) {
      const Percentile one = percentile(values, fraction);
      scatter->add(one.value, one.standard_error);
    }
  }
  // 400 samples tell a standard deviation to about 4 %; the tail of exp(normal) is heavy, so p99's error itself varies.
  EXPECT_NEAR(means.ratio(), 1, 0.12);
  EXPECT_NEAR(p90.ratio(), 1, 0.12);
  EXPECT_NEAR(p99.ratio(), 1, 0.2);
}

TEST(DocumentStatistics, PercentileByNearestRank) {
  std::vector<DocumentValue> values;
  for (int i = 100; i >= 1; --i) values.push_back({i % 5, static_cast<double>(i)});
  EXPECT_EQ(percentile(values, 0.99).value, 99);
  EXPECT_EQ(percentile(values, 0.5).value, 50);
  EXPECT_EQ(percentile({{0, 7.0}}, 0.99).value, 7);

  // Documents {1, 2}, {3, 4, 5}, {6}: half of the tokens are at most 3, by documents 2 of 2, 1 of 3 and 0 of 1. The
  // residuals 1, -1/2, -1/2 give an error of sqrt(3/2 · 3/2)/6 = 1/4 of that half: the ranks 2 and 5.
  const Percentile median = percentile({{0, 1}, {0, 2}, {1, 3}, {1, 4}, {1, 5}, {2, 6}}, 0.5);
  EXPECT_EQ(median.value, 3);
  EXPECT_EQ(median.standard_error, (5.0 - 2.0) / 2);
}

TEST(DocumentStatistics, OneDocumentHasNoError) {
  EXPECT_TRUE(std::isnan(percentile({}, 0.99).value));
  const Percentile one = percentile({{4, 1.0}, {4, 2.0}}, 0.99);
  EXPECT_EQ(one.value, 2);
  EXPECT_TRUE(std::isnan(one.standard_error));
  EXPECT_EQ(percentile({{4, 1.0}, {5, 1.0}}, 0.99).standard_error, 0);
}

TEST(DocumentStatistics, APercentileAmongTiesOrAtTheEndHasAnErrorToo) {
  // Documents that begin alike: 2 of 100 tokens each share the value 5, and the 99th percentile is among them.
  std::vector<DocumentValue> alike;
  for (int document = 0; document < 40; ++document)
    for (int i = 0; i < 100; ++i) alike.push_back({document, i < 97 ? 1.0 + i * 1e-3 : i < 99 ? 5.0 : 9.0});
  const Percentile among = percentile(alike, 0.985);
  EXPECT_EQ(among.value, 5);
  EXPECT_EQ(among.standard_error, (9.0 - 1.096) / 2);
  // 36 tokens: the percentile is the largest, all documents are at or below it.
  std::vector<DocumentValue> few;
  for (int i = 0; i < 36; ++i) few.push_back({i / 3, static_cast<double>(i)});
  const Percentile largest = percentile(few, 0.99);
  EXPECT_EQ(largest.value, 35);
  EXPECT_EQ(largest.standard_error, 1);
}

}  // namespace
}  // namespace qad
