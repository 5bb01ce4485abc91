// The scores that pruning goes by, against a forward by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "models/prune/importance.h"
#include "tests/support/lively_model.h"

namespace qad {
namespace {

using testing::named;
using Rows = std::vector<std::vector<double>>;

std::vector<double> product(const Parameter& weight, const std::vector<double>& x) {
  const Tensor& w = weight.value();
  std::vector<double> y(static_cast<std::size_t>(w.rows()));
  for (std::size_t r = 0; r < y.size(); ++r)
    for (std::size_t k = 0; k < x.size(); ++k) y[r] += static_cast<double>(w.data()[r * x.size() + k]) * x[k];
  return y;
}

std::vector<double> normalized(const Parameter& weight, const std::vector<double>& x, double epsilon) {
  double square = 0;
  for (const double one : x) square += one * one;
  const double root = std::sqrt(square / static_cast<double>(x.size()) + epsilon);
  std::vector<double> y(x.size());
  for (std::size_t k = 0; k < x.size(); ++k) y[k] = x[k] / root * static_cast<double>(weight.value().data()[k]);
  return y;
}

std::vector<double> swiglu(const std::vector<double>& gate, const std::vector<double>& up) {
  std::vector<double> unit(gate.size());
  for (std::size_t k = 0; k < gate.size(); ++k) unit[k] = gate[k] / (1 + std::exp(-gate[k])) * up[k];
  return unit;
}

// What the token begins with.
std::vector<double> embedded(LanguageModel& model, const TokenBatch& batch, std::int32_t token) {
  const Tensor& embedding = model.parameters().front()->value();
  const float* const row = embedding.data() + batch.ids[static_cast<std::size_t>(token)] * embedding.cols();
  return {row, row + embedding.cols()};
}

// A plain decoder in double, a token at a time; what is scored is kept.
class ByHand {
 public:
  explicit ByHand(LanguageModel& model) : model_(model), config_(model.config()), importance_() {
    const auto hidden = static_cast<std::size_t>(config_.hidden_size);
    importance_.hidden.resize(hidden);
    importance_.blocks.resize(static_cast<std::size_t>(config_.num_hidden_layers));
  }

  Importance scores(const std::vector<TokenBatch>& batches) {
    for (const TokenBatch& batch : batches)
      for (const Segment& segment : batch.segments) read(batch, segment);
    for (auto& [norm, squares] : norms_)
      for (std::size_t k = 0; k < squares.size(); ++k) importance_.hidden[k] += std::sqrt(squares[k]);
    for (std::size_t i = 0; i < importance_.blocks.size(); ++i) {
      BlockImportance& block = importance_.blocks[i];
      for (const double one : units_[i]) block.units.push_back(std::sqrt(one));
      const auto width = static_cast<std::size_t>(config_.head_size());
      for (std::size_t k = 0; k < heads_[i].size(); k += width) {
        double sum = 0;
        for (std::size_t j = 0; j < width; ++j) sum += heads_[i][k + j];
        block.heads.push_back(std::sqrt(sum));
      }
    }
    return importance_;
  }

 private:
  std::vector<double> times(const std::string& name, const std::vector<double>& x) const {
    return product(named(model_, name + ".weight"), x);
  }
  std::vector<double> normed(const std::string& name, const std::vector<double>& x) const {
    return normalized(named(model_, name + ".weight"), x, config_.rms_norm_eps);
  }
  void rotate(std::vector<double>& x, std::size_t position) const {
    const auto width = static_cast<std::size_t>(config_.head_size()), half = width / 2;
    for (std::size_t head = 0; head < x.size(); head += width)
      for (std::size_t k = 0; k < half; ++k) {
        const double turn = static_cast<double>(position) *
                            std::pow(config_.rope_theta, -2.0 * static_cast<double>(k) / static_cast<double>(width));
        const double a = x[head + k], b = x[head + k + half];
        x[head + k] = a * std::cos(turn) - b * std::sin(turn);
        x[head + k + half] = b * std::cos(turn) + a * std::sin(turn);
      }
  }
  static void keep(std::vector<double>& squares, const Rows& rows) {
    squares.resize(rows.front().size());
    for (std::size_t k = 0; k < squares.size(); ++k) {
      double mean = 0;
      for (const auto& row : rows) mean += std::abs(row[k]) / static_cast<double>(rows.size());
      squares[k] += mean * mean;
    }
  }
  Rows attended(const std::string& block, const Rows& normalized) const {
    const auto width = static_cast<std::size_t>(config_.head_size());
    const auto heads = static_cast<std::size_t>(config_.num_attention_heads);
    const std::size_t group = heads / static_cast<std::size_t>(config_.num_key_value_heads);
    Rows q, k, v, out;
    for (std::size_t t = 0; t < normalized.size(); ++t) {
      q.push_back(times(block + ".self_attn.q_proj", normalized[t]));
      k.push_back(times(block + ".self_attn.k_proj", normalized[t]));
      v.push_back(times(block + ".self_attn.v_proj", normalized[t]));
      rotate(q[t], t);
      rotate(k[t], t);
      std::vector<double> y(heads * width);
      for (std::size_t h = 0; h < heads; ++h) {
        std::vector<double> weights;
        double sum = 0;
        for (std::size_t s = 0; s <= t; ++s) {
          double score = 0;
          for (std::size_t j = 0; j < width; ++j) score += q[t][h * width + j] * k[s][h / group * width + j];
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(width))));
          sum += weights.back();
        }
        for (std::size_t s = 0; s <= t; ++s)
          for (std::size_t j = 0; j < width; ++j) y[h * width + j] += weights[s] / sum * v[s][h / group * width + j];
      }
      out.push_back(y);
    }
    return out;
  }

  void read(const TokenBatch& batch, const Segment& segment) {
    const auto hidden = static_cast<std::size_t>(config_.hidden_size);
    Rows x;
    for (std::int32_t t = segment.begin; t < segment.end; ++t) x.push_back(embedded(model_, batch, t));
    const auto through = [&](const std::string& norm, const Rows& rows) {
      Rows out;
      for (const auto& row : rows) out.push_back(normed(norm, row));
      keep(norms_[norm], out);
      return out;
    };
    const auto add_to = [](Rows& to, const Rows& rows) {
      for (std::size_t t = 0; t < to.size(); ++t)
        for (std::size_t k = 0; k < to[t].size(); ++k) to[t][k] += rows[t][k];
    };
    for (std::size_t i = 0; i < importance_.blocks.size(); ++i) {
      const std::string block = "model.layers." + std::to_string(i);
      const Rows before = x;
      const Rows heads = attended(block, through(block + ".input_layernorm", x));
      keep(heads_[i], heads);
      Rows written, units;
      for (const auto& row : heads) written.push_back(times(block + ".self_attn.o_proj", row));
      add_to(x, written);
      written.clear();
      for (const auto& row : through(block + ".post_attention_layernorm", x)) {
        const auto gate = times(block + ".mlp.gate_proj", row), up = times(block + ".mlp.up_proj", row);
        const std::vector<double> unit = swiglu(gate, up);
        units.push_back(unit);
        written.push_back(times(block + ".mlp.down_proj", unit));
      }
      keep(units_[i], units);
      add_to(x, written);
      for (std::size_t t = 0; t < x.size(); ++t) {
        double xx = 0, yy = 0, xy = 0;
        for (std::size_t k = 0; k < hidden; ++k)
          xx += before[t][k] * before[t][k], yy += x[t][k] * x[t][k], xy += before[t][k] * x[t][k];
        importance_.blocks[i].block += 1 - xy / std::sqrt(xx * yy);
      }
    }
    static_cast<void>(through("model.norm", x));
  }

  LanguageModel& model_;
  const ModelConfig& config_;
  Importance importance_;
  std::map<std::string, std::vector<double>> norms_;
  std::map<std::size_t, std::vector<double>> heads_, units_;
};

void expect_near(const Scores& scores, const Scores& expected, const std::string& what) {
  ASSERT_EQ(scores.size(), expected.size()) << what;
  for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-5 * expected[i]) << what << i;
}

TEST(Importance, IsThatOfAForwardByHand) {
  const auto model = initialize_model(testing::lively_config(), 3);
  for (const ParameterPointer& parameter : model->parameters())
    if (parameter->role == Role::norm) {
      for (std::int64_t k = 0; k < parameter->value().size(); ++k)
        parameter->value().data()[k] = 0.5f + 0.1f * static_cast<float>(k % 7);
      parameter->changed();
    }
  const Importance scores = importance_of(*model, testing::two_batches()),
                   expected = ByHand(*model).scores(testing::two_batches());
  expect_near(scores.hidden, expected.hidden, "hidden ");
  for (std::size_t i = 0; i < expected.blocks.size(); ++i) {
    expect_near(scores.blocks[i].units, expected.blocks[i].units, "units ");
    expect_near(scores.blocks[i].heads, expected.blocks[i].heads, "heads ");
    EXPECT_NEAR(scores.blocks[i].block, expected.blocks[i].block, 1e-4 * expected.blocks[i].block);
  }
  for (const LinearGroup* group : model->linear_groups()) EXPECT_EQ(group->input_slot, nullptr) << "a tap is left";
}

TEST(Importance, OfExpertsIsWhatTheyAdd) {
  ModelConfig config = testing::lively_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.num_hidden_layers = 1;
  config.experts = ExpertsConfig{.num_experts = 5, .num_experts_per_tok = 2, .moe_intermediate_size = 16};
  const auto model = initialize_model(config, 4);
  named(*model, "model.layers.0.self_attn.o_proj.weight").value().fill(0);  // so the experts read the embedding

  Scores experts(5);
  std::vector<Scores> units(5, Scores(16));
  for (const TokenBatch& batch : testing::two_batches())
    for (const Segment& segment : batch.segments) {
      std::vector<Scores> means(5, Scores(16));
      for (std::int32_t t = segment.begin; t < segment.end; ++t) {
        const auto x = normalized(named(*model, "model.layers.0.post_attention_layernorm.weight"),
                                  embedded(*model, batch, t), config.rms_norm_eps);
        std::vector<double> scores = product(named(*model, "model.layers.0.mlp.gate.weight"), x);
        for (double& one : scores) one = std::exp(one);
        const auto best = static_cast<std::size_t>(std::ranges::max_element(scores) - scores.begin());
        std::size_t second = best == 0 ? 1 : 0;
        for (std::size_t e = 0; e < scores.size(); ++e)
          if (e != best && scores[e] > scores[second]) second = e;
        for (const std::size_t e : {best, second}) {
          const std::string expert = "model.layers.0.mlp.experts." + std::to_string(e);
          const auto unit = swiglu(product(named(*model, expert + ".gate_proj.weight"), x),
                                   product(named(*model, expert + ".up_proj.weight"), x));
          double square = 0;
          for (const double one : product(named(*model, expert + ".down_proj.weight"), unit)) square += one * one;
          experts[e] += scores[e] / (scores[best] + scores[second]) * std::sqrt(square);
          for (std::size_t k = 0; k < unit.size(); ++k)
            means[e][k] += std::abs(unit[k]) / static_cast<double>(segment.end - segment.begin);
        }
      }
      for (std::size_t e = 0; e < 5; ++e)
        for (std::size_t k = 0; k < 16; ++k) units[e][k] += means[e][k] * means[e][k];
    }
  const Importance found = importance_of(*model, testing::two_batches());
  expect_near(found.blocks[0].experts, experts, "experts ");
  for (std::size_t e = 0; e < 5; ++e) {
    for (double& one : units[e]) one = std::sqrt(one);
    expect_near(found.blocks[0].expert_units[e], units[e], "units of experts ");
  }
}

}  // namespace
}  // namespace qad
