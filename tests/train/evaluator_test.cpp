// Held-out figures: a model against itself, and every figure from the logits by the definition.
#include "qad/train/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "qad/train/document_statistics.h"
#include "tests/support/error_of.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

TEST(Evaluator, AModelAgainstItself) {
  TinyTraining training;
  const EvalFigures figures = evaluate(*training.teacher, training.teacher.get(), training.evaluation);
  EXPECT_EQ(figures.kl_mean, 0);
  EXPECT_EQ(figures.kl_mean_stderr, 0);
  EXPECT_EQ(figures.kl_p99, 0);
  EXPECT_EQ(figures.kl_p99_stderr, 0);
  EXPECT_EQ(figures.top1_agreement, 1);
  EXPECT_EQ(figures.top1_stderr, 0);
  EXPECT_EQ(figures.documents, 12);
  EXPECT_GT(figures.cross_entropy, 0);
  EXPECT_EQ(figures.perplexity, std::exp(figures.cross_entropy));
}

TEST(Evaluator, AModelAloneHasNoKl) {
  TinyTraining training;
  const EvalFigures with = evaluate(*training.teacher, training.teacher.get(), training.evaluation);
  const EvalFigures alone = evaluate(*training.teacher, nullptr, training.evaluation);
  EXPECT_TRUE(std::isnan(alone.kl_mean) && std::isnan(alone.kl_p99) && std::isnan(alone.kl_p99_stderr));
  EXPECT_TRUE(std::isnan(alone.top1_agreement));
  EXPECT_EQ(alone.cross_entropy, with.cross_entropy);
  EXPECT_EQ(alone.cross_entropy_stderr, with.cross_entropy_stderr);
}

TEST(Evaluator, AStopGivesNoResult) {
  TinyTraining training;
  int asked = 0;
  const StopQuestion question([&] { return ++asked == 2; });
  EXPECT_THROW(static_cast<void>(evaluate(*training.teacher, nullptr, training.evaluation)), Stopped);
  EXPECT_EQ(asked, 2);
}

// What an evaluation says of a model with one weight of `name` changed.
std::string error_with_weight(const std::string& name, float value) {
  TinyTraining training;
  const auto model = trainable_copy(*training.teacher);
  for (const ParameterPointer& parameter : model->parameters())
    if (parameter->name == name) parameter->value().data()[3] = value;
  return testing::error_of([&] { static_cast<void>(evaluate(*model, training.teacher.get(), training.evaluation)); });
}

TEST(Evaluator, WhatIsNotFiniteIsAnErrorThatNamesTheFirstLayer) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto expect_named = [](const std::string& error, const std::string& layer) {
    EXPECT_NE(error.find("the student: " + layer + ": expected finite values"), std::string::npos) << error;
  };
  expect_named(error_with_weight("model.layers.0.mlp.down_proj.weight", kInfinity), "model.layers.0");
  expect_named(error_with_weight("model.layers.1.self_attn.q_proj.weight", kInfinity), "model.layers.1");
  expect_named(error_with_weight("model.norm.weight", 3e38f), "model.norm");
  // Finite, but the squares that the next norm sums are not: it would give zeros.
  expect_named(error_with_weight("model.layers.0.mlp.down_proj.weight", 1e30f), "model.layers.0");
  EXPECT_EQ(error_with_weight("model.layers.0.mlp.down_proj.weight", 1e3f), "no error");
}

// Natural logarithms of the softmax of a row of logits, in double.
std::vector<double> log_softmax(const float* logits, std::int64_t size) {
  double largest = logits[0], sum = 0;
  for (std::int64_t i = 0; i < size; ++i) largest = std::max<double>(largest, logits[i]);
  for (std::int64_t i = 0; i < size; ++i) sum += std::exp(logits[i] - largest);
  std::vector<double> result(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = logits[i] - largest - std::log(sum);
  return result;
}

struct DocumentSum {
  double total = 0, count = 0;
};

// Mean over tokens and its standard error over documents: of the ratio of two means, by its Taylor expansion.
std::pair<double, double> ratio(const std::map<std::int64_t, DocumentSum>& documents) {
  double total = 0, count = 0, squares = 0;
  for (const auto& [document, sum] : documents) total += sum.total, count += sum.count;
  const auto n = static_cast<double>(documents.size());
  for (const auto& [document, sum] : documents) squares += std::pow(sum.total - total / count * sum.count, 2);
  return {total / count, std::sqrt(squares / (n - 1) / n) / (count / n)};
}

TEST(Evaluator, FiguresByTheirDefinition) {
  TinyTraining training;
  for (TokenBatch& batch : training.evaluation)
    for (std::size_t token = 0; token < batch.valid.size(); token += 5) batch.valid[token] = 0;
  const auto student = trainable_copy(*training.teacher);
  for (const ParameterPointer& parameter : student->parameters())
    for (float& value : parameter->value().span()) value *= 1.2f;

  std::map<std::int64_t, DocumentSum> kl, cross_entropy, agreement;
  std::vector<DocumentValue> all_kl;
  const std::int64_t vocabulary = student->config().vocab_size;
  for (const TokenBatch& batch : training.evaluation) {
    const NoGradScope no_grad;
    const Tensor ours = logits_of(*student, student->hidden_states(batch).value());
    const Tensor theirs = logits_of(*training.teacher, training.teacher->hidden_states(batch).value());
    for (std::size_t s = 0; s < batch.segments.size(); ++s)
      for (std::int64_t t = batch.segments[s].begin; t < batch.segments[s].end; ++t) {
        const auto p = log_softmax(theirs.data() + t * vocabulary, vocabulary);
        const auto q = log_softmax(ours.data() + t * vocabulary, vocabulary);
        const auto token = static_cast<std::size_t>(t);
        const auto add = [&](auto& figure, double value) {
          figure[batch.document[s]].total += value;
          figure[batch.document[s]].count += 1;
        };
        if (batch.labels[token] != kNoLabel) add(cross_entropy, -q[static_cast<std::size_t>(batch.labels[token])]);
        if (batch.valid[token] == 0) continue;
        double divergence = 0;
        for (std::size_t v = 0; v < p.size(); ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
        add(kl, divergence);
        add(agreement, std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin() ? 1 : 0);
        all_kl.push_back({batch.document[s], divergence});
      }
  }

  const EvalFigures figures = evaluate(*student, training.teacher.get(), training.evaluation);
  const auto expect = [](double value, double expected) { EXPECT_NEAR(value, expected, 1e-5 * expected); };
  EXPECT_EQ(figures.tokens, static_cast<std::int64_t>(all_kl.size()));
  EXPECT_GT(figures.kl_mean, 1e-3);
  expect(figures.kl_mean, ratio(kl).first);
  expect(figures.kl_mean_stderr, ratio(kl).second);
  expect(figures.kl_p99, percentile(all_kl, 0.99).value);
  expect(figures.kl_p99_stderr, percentile(all_kl, 0.99).standard_error);
  expect(figures.cross_entropy, ratio(cross_entropy).first);
  expect(figures.cross_entropy_stderr, ratio(cross_entropy).second);
  expect(figures.perplexity, std::exp(ratio(cross_entropy).first));
  expect(figures.perplexity_stderr, std::exp(ratio(cross_entropy).first) * ratio(cross_entropy).second);
  expect(figures.top1_agreement, ratio(agreement).first);
  expect(figures.top1_stderr, ratio(agreement).second);
  EXPECT_LT(figures.top1_agreement, 1);
}

}  // namespace
}  // namespace qad
