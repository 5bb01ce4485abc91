// Scores of groups of layers: by KL against the definition, by gradients against finite changes.
#include "qad/search/score_groups.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/import/model_folder.h"
#include "qad/calib/calibrate.h"
#include "qad/train/evaluator.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

constexpr std::size_t kFormats = 2;  // of the candidates that quantize

TokenBatch labelled_batch() {
  TokenBatch batch = testing::small_batch();
  for (std::size_t t = 0; t + 1 < batch.ids.size(); ++t) batch.labels[t] = batch.ids[t + 1];
  return batch;
}

class ScoreGroups : public ::testing::Test {
 protected:
  ScoreGroups() {
    ModelConfig config = testing::small_config();
    config.initializer_range = 0.15;  // so that its answers depend on its layers
    teacher_ = initialize_model(config, 3);
    search_.effective_bits = 5;
    space_ = search_space(linear_shapes(*teacher_), {}, search_);
    text_ = {labelled_batch()};
  }

  // Quantized in every group but switched off.
  std::unique_ptr<LanguageModel> student_in(std::size_t candidate) {
    auto student = trainable_copy(*teacher_);
    QuantizeConfig quantize = with_choice({}, search_, space_, all_in(space_, candidate));
    quantize.unquantized = UnquantizedType::fp32;
    QuantizerSet quantizers = attach_quantizers(*student, quantize);
    calibrate(*student, quantizers, text_);
    quantized_ = slots_of(*student);
    for (LinearGroup* group : student->linear_groups()) {
      group->input_slot = nullptr;
      for (Linear& member : group->members) member.weight->slot = nullptr;
    }
    plain_ = slots_of(*student);
    return student;
  }

  std::unique_ptr<LanguageModel> teacher_;
  SearchConfig search_;
  SearchSpace space_;
  std::vector<TokenBatch> text_;
  SlotsByGroup quantized_, plain_;
};

TEST_F(ScoreGroups, KlIsThatOfAModelWithOneGroupQuantized) {
  const KlToTeacher kl(*teacher_, text_);
  const auto student = student_in(0);
  EXPECT_EQ(kl(*student), 0);
  for (std::size_t i = 0; i < space_.groups.size(); ++i) {
    std::vector<std::size_t> choice(space_.groups.size(), 2);  // none
    choice[i] = 0;
    auto alone = trainable_copy(*teacher_);
    QuantizeConfig quantize = with_choice({}, search_, space_, choice);
    quantize.unquantized = UnquantizedType::fp32;
    QuantizerSet quantizers = attach_quantizers(*alone, quantize);
    calibrate(*alone, quantizers, text_);

    put_slots(*student, quantized_, space_.groups[i].inputs);
    const double switched = kl(*student);
    put_slots(*student, plain_, space_.groups[i].inputs);
    EXPECT_EQ(switched, evaluate(*alone, teacher_.get(), text_).kl_mean) << space_.groups[i].name;
    EXPECT_GT(switched, 0) << space_.groups[i].name;
  }
  EXPECT_EQ(kl(*student), 0);
}

// Σ (g·Δh)²/2 by its definition: g is the derivative of the loss by a state, here by changing it.
TEST_F(ScoreGroups, GradientsAreThoseOfTheLoss) {
  const TokenBatch& batch = text_.front();
  const auto student = student_in(0);
  freeze(*student);
  std::vector<const SearchGroup*> groups;
  for (const SearchGroup& group : space_.groups) groups.push_back(&group);
  const auto put = [&](std::size_t i, bool on) { put_slots(*student, on ? quantized_ : plain_, groups[i]->inputs); };
  std::int64_t tokens = 0;
  const std::vector<double> scores =
      gradient_scores(*student, text_, groups, put, [&](std::int64_t done) { tokens += done; });
  EXPECT_EQ(tokens, batch.size());

  const NoGradScope no_grad;
  const ForwardPlan plan = LanguageModel::plan_of(batch);
  const auto loss_of = [&](const Tensor& last_TC) {
    const Tensor logits = logits_of(*student, student->finish(Variable(last_TC)).value());
    double loss = 0;
    for (std::int64_t t = 0; t < logits.rows(); ++t) {
      if (batch.labels[static_cast<std::size_t>(t)] == kNoLabel) continue;
      const float* row = logits.data() + t * logits.cols();
      double sum = 0;
      for (std::int64_t v = 0; v < logits.cols(); ++v) sum += std::exp(static_cast<double>(row[v]));
      loss += std::log(sum) - static_cast<double>(row[batch.labels[static_cast<std::size_t>(t)]]);
    }
    return loss;
  };
  const std::size_t group = groups.size() - 1;  // of the last block, so that its states are what the head reads
  Tensor x_TC = student->embed(batch).value();
  x_TC = student->blocks()[0](Variable(x_TC), plan, nullptr).value();
  const Tensor plain = student->blocks()[1](Variable(x_TC), plan, nullptr).value();
  put(group, true);
  const Tensor quantized = student->blocks()[1](Variable(x_TC), plan, nullptr).value();
  put(group, false);
  double expected = 0;
  for (std::int64_t i = 0; i < plain.size(); ++i) {
    constexpr float kStep = 1e-2f;
    Tensor more = plain.to(DType::f32), less = plain.to(DType::f32);
    more.data()[i] += kStep;
    less.data()[i] -= kStep;
    const double gradient = (loss_of(more) - loss_of(less)) / (2.0 * static_cast<double>(kStep));
    const double change = static_cast<double>(quantized.data()[i]) - static_cast<double>(plain.data()[i]);
    expected += gradient * change * gradient * change;
  }
  expected /= 2.0 * static_cast<double>(batch.size() - 1);
  EXPECT_NEAR(scores[group], expected, 0.02 * expected);
  for (const double score : scores) EXPECT_GT(score, 0);
}

TEST_F(ScoreGroups, FormatsWithMoreBitsScoreLess) {
  std::vector<const SearchGroup*> groups;
  for (const SearchGroup& group : space_.groups) groups.push_back(&group);
  std::vector<std::vector<double>> scores;
  for (std::size_t k = 0; k < kFormats; ++k) {
    const auto student = student_in(k);
    freeze(*student);
    scores.push_back(gradient_scores(
        *student, text_, groups,
        [&](std::size_t i, bool on) { put_slots(*student, on ? quantized_ : plain_, groups[i]->inputs); },
        [](std::int64_t) {}));
  }
  for (std::size_t i = 0; i < groups.size(); ++i) EXPECT_LT(scores[1][i], scores[0][i]) << groups[i]->name;
}

}  // namespace
}  // namespace qad
