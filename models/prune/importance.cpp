#include "models/prune/importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "autograd/base/interrupt.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/nn/taps.h"
#include "autograd/ops/require_finite.h"
#include "models/prune/anatomy.h"

namespace qad {
namespace {

constexpr std::int64_t kCols = 64, kRows = 16;

// Which tokens of a batch are one sample.
struct Samples {
  std::vector<std::size_t> of_token;
  std::vector<double> length;

  explicit Samples(const TokenBatch& batch) {
    for (const Segment& segment : batch.segments) {
      of_token.insert(of_token.end(), static_cast<std::size_t>(segment.end - segment.begin), length.size());
      length.push_back(segment.end - segment.begin);
    }
  }
};

using Tokens = std::vector<std::size_t>;  // of each row, in rising order

class ColumnSums {
 public:
  void add(const Tensor& values, const Samples& samples, const Tokens* tokens = nullptr) {
    const Tensor x = as_f32(values);
    const std::int64_t cols = x.cols();
    squared_means_.resize(static_cast<std::size_t>(cols));
    squares_.resize(static_cast<std::size_t>(cols));
    parallel_for(cols, kCols, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> sum(static_cast<std::size_t>(end - begin));
      const auto sample_of = [&](std::int64_t row) {
        const auto r = static_cast<std::size_t>(row);
        return samples.of_token[tokens != nullptr ? (*tokens)[r] : r];
      };
      for (std::int64_t r = 0; r < x.rows(); ++r) {
        const float* const row = x.data() + r * cols + begin;
        for (std::size_t k = 0; k < sum.size(); ++k) {
          const double value = row[k];
          sum[k] += std::abs(value);
          squares_[static_cast<std::size_t>(begin) + k] += value * value;
        }
        const std::size_t sample = sample_of(r);
        if (r + 1 < x.rows() && sample_of(r + 1) == sample) continue;
        for (std::size_t k = 0; k < sum.size(); ++k) {
          const double mean = sum[k] / samples.length[sample];
          squared_means_[static_cast<std::size_t>(begin) + k] += mean * mean;
          sum[k] = 0;
        }
      }
    });
  }

  // Of each `width` channels together.
  [[nodiscard]] Scores scores(std::int64_t count, std::int64_t width = 1) const {
    Scores result(static_cast<std::size_t>(count));
    for (std::size_t k = 0; k < squared_means_.size(); ++k)
      result[k / static_cast<std::size_t>(width)] += squared_means_[k];
    for (double& one : result) one = std::sqrt(one);
    return result;
  }

  // Before they were multiplied by the norm's factors.
  [[nodiscard]] Scores squares_over(const Parameter& norm, float offset) const {
    const Tensor factors = as_f32(norm.value());
    Scores result = squares_;
    for (std::size_t k = 0; k < result.size(); ++k) {
      const double factor = static_cast<double>(factors.data()[k]) + static_cast<double>(offset);
      result[k] = factor != 0 ? result[k] / (factor * factor) : 0;
    }
    return result;
  }

 private:
  std::vector<double> squared_means_, squares_;
};

double cosine_distance(const Tensor& x, const Tensor& y) {
  std::vector<double> distance(static_cast<std::size_t>(x.rows()));
  parallel_for(x.rows(), kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      double xx = 0, yy = 0, xy = 0;
      for (std::int64_t k = r * x.cols(); k < (r + 1) * x.cols(); ++k) {
        const double a = x.data()[k], b = y.data()[k];
        xx += a * a, yy += b * b, xy += a * b;
      }
      const double lengths = std::sqrt(xx) * std::sqrt(yy);
      distance[static_cast<std::size_t>(r)] = lengths > 0 ? 1 - xy / lengths : (xx == yy ? 0 : 1);
    }
  });
  double sum = 0;
  for (const double one : distance) sum += one;
  return sum;
}

std::vector<double> row_lengths(std::int64_t rows, std::int64_t cols, const float* values) {
  std::vector<double> lengths(static_cast<std::size_t>(rows));
  parallel_for(rows, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      double sum = 0;
      for (std::int64_t k = r * cols; k < (r + 1) * cols; ++k)
        sum += static_cast<double>(values[k]) * static_cast<double>(values[k]);
      lengths[static_cast<std::size_t>(r)] = std::sqrt(sum);
    }
  });
  return lengths;
}

// A block whose layers are watched.
class WatchedBlock {
 public:
  WatchedBlock(BlockAnatomy anatomy, const Samples*& samples, const ModelConfig& config)
      : anatomy_(std::move(anatomy)), samples_(samples), config_(config), norms_(anatomy_.norms.size()) {
    for (std::size_t i = 0; i < norms_.size(); ++i) watch(*anatomy_.norms[i].reader, norms_[i]);
    if (anatomy_.attention != nullptr) watch(anatomy_.attention->output, heads_);
    if (anatomy_.feed_forward) watch(*anatomy_.feed_forward->down, units_);
    if (anatomy_.mamba) watch(*anatomy_.mamba->out, mamba_);
    if (anatomy_.experts) watch(*anatomy_.experts);
  }
  WatchedBlock(const WatchedBlock&) = delete;
  WatchedBlock& operator=(const WatchedBlock&) = delete;

  void add_distance(double distance) { distance_ += distance; }
  void add_routing(const Routing& routing) {
    routing_ = routing;
    rows_ = rows_by_expert(routing, std::ssize(expert_scores_));
  }

  // Adds what its norms give to the hidden channels'.
  [[nodiscard]] BlockImportance importance(float norm_offset, Scores& hidden) const {
    BlockImportance result;
    result.block = distance_;
    for (std::size_t i = 0; i < norms_.size(); ++i) {
      const Scores scores = norms_[i].scores(std::ssize(hidden));
      for (std::size_t k = 0; k < hidden.size(); ++k) hidden[k] += scores[k];
      result.norm_squares.push_back(norms_[i].squares_over(*anatomy_.norms[i].norm, norm_offset));
    }
    if (anatomy_.attention != nullptr)
      result.heads = heads_.scores(anatomy_.attention->config.heads, anatomy_.attention->config.head_dim);
    if (anatomy_.feed_forward) result.units = units_.scores(width_of(*anatomy_.feed_forward->down));
    if (anatomy_.mamba) {
      result.mamba_heads = mamba_.scores(config_.mamba->num_heads, config_.mamba->head_dim);
      result.mamba_norm_squares = mamba_.squares_over(*anatomy_.mamba->norm, 0);
    }
    result.experts = expert_scores_;
    for (const ColumnSums& expert : expert_units_)
      result.expert_units.push_back(expert.scores(width_of(*anatomy_.experts->routed.down)));
    if (anatomy_.experts && anatomy_.experts->shared)
      result.shared_units = shared_units_.scores(width_of(*anatomy_.experts->shared->down));
    return result;
  }

 private:
  static std::int64_t width_of(const LinearGroup& group) { return group.members.front().in_features(); }

  void watch(LinearGroup& group, ColumnSums& sums) {
    taps_.add<InputTap>(group.input_slot, [this, &sums](const Tensor& x) { sums.add(x, *samples_); });
  }
  void watch(const ExpertsAnatomy& experts) {
    if (experts.shared) watch(*experts.shared->down, shared_units_);
    std::vector<Linear>& members = experts.routed.down->members;
    expert_scores_.resize(members.size());
    expert_units_.resize(members.size());
    for (std::size_t e = 0; e < members.size(); ++e)
      taps_.add<ProductTap>(
          members[e].weight->slot,
          [this, e, out = members[e].out_features()](const Tensor& x, const float* y) { add_expert(e, x, out, y); });
  }

  void add_expert(std::size_t expert, const Tensor& x, std::int64_t out, const float* y) {
    const std::vector<std::int64_t>& places = *rows_[expert];
    QAD_ASSERT(std::ssize(places) == x.rows());
    Tokens tokens;
    for (const std::int64_t place : places)
      tokens.push_back(static_cast<std::size_t>(place / routing_.experts_per_token));
    expert_units_[expert].add(x, *samples_, &tokens);
    const Tensor weights = as_f32(routing_.weights.value());
    const std::vector<double> lengths = row_lengths(x.rows(), out, y);
    for (std::size_t r = 0; r < places.size(); ++r)
      expert_scores_[expert] += static_cast<double>(weights.data()[places[r]]) * lengths[r];
  }

  BlockAnatomy anatomy_;
  const Samples*& samples_;  // of the batch that is read
  const ModelConfig& config_;
  double distance_ = 0;
  std::vector<ColumnSums> norms_;
  ColumnSums heads_, units_, mamba_, shared_units_;
  Scores expert_scores_;
  std::vector<ColumnSums> expert_units_;
  Routing routing_;
  std::vector<RoutedRows> rows_;
  Taps taps_;
};

}  // namespace

Importance importance_of(LanguageModel& model, const std::vector<TokenBatch>& batches) {
  const NoGradScope no_grad;
  const Samples* samples = nullptr;
  std::vector<std::unique_ptr<WatchedBlock>> watched;
  std::vector<WatchedBlock*> with_experts;
  for (BlockAnatomy& anatomy : anatomy_of(model)) {
    const bool has_experts = anatomy.experts.has_value();
    watched.push_back(std::make_unique<WatchedBlock>(std::move(anatomy), samples, model.config()));
    if (has_experts) with_experts.push_back(watched.back().get());
  }
  const RoutingListener listener(
      model, [&](std::size_t layer, const Routing& routing) { with_experts[layer]->add_routing(routing); });
  ColumnSums last_norm;
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    const Samples of_batch(batch);
    samples = &of_batch;
    const ForwardPlan plan = LanguageModel::plan_of(batch);
    Variable x = model.embed(batch);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      const Block& block = model.blocks()[i];
      const Variable y = block(x, plan, nullptr);
      require_finite(y.value(), model.label + ": " + block.name());
      watched[i]->add_distance(cosine_distance(x.value(), y.value()));
      x = y;
    }
    last_norm.add(model.finish(x).value(), of_batch);
  }
  Importance importance;
  importance.hidden = last_norm.scores(model.config().hidden_size);
  importance.norm_squares = last_norm.squares_over(model.final_norm(), model.final_norm_offset());
  for (const auto& block : watched)
    importance.blocks.push_back(block->importance(model.final_norm_offset(), importance.hidden));
  return importance;
}

Importance with_random_scores(Importance importance, std::uint64_t seed) {
  const auto draw = [&](const std::string& name, Scores& scores) {
    Random random(seed, stream_of("prune " + name));
    for (double& one : scores) one = random.uniform();
  };
  draw("hidden", importance.hidden);
  for (std::size_t i = 0; i < importance.blocks.size(); ++i) {
    BlockImportance& block = importance.blocks[i];
    Scores alone(1);
    draw(fmt::format("{}", i), alone);
    block.block = alone.front();
    draw(fmt::format("{} units", i), block.units);
    draw(fmt::format("{} heads", i), block.heads);
    draw(fmt::format("{} experts", i), block.experts);
    draw(fmt::format("{} shared units", i), block.shared_units);
    draw(fmt::format("{} mamba heads", i), block.mamba_heads);
    for (std::size_t e = 0; e < block.expert_units.size(); ++e)
      draw(fmt::format("{} units of {}", i, e), block.expert_units[e]);
  }
  return importance;
}

}  // namespace qad
