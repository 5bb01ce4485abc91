#include "qad/train/step.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/profile.h"
#include "autograd/optim/gradient_tree.h"
#include "autograd/tape/gradient_products.h"

namespace qad {
namespace {

// The gradients of a block are whole at the same time. Those of the embedding, which may be the head too, come last,
// and with them those of quantizers.
std::vector<std::size_t> groups_of(LanguageModel& student, const ParameterList& parameters) {
  struct Collector final : ModuleVisitor {
    void parameter(const ParameterPointer& parameter) override { groups.try_emplace(parameter.get(), group); }
    std::map<const Parameter*, std::size_t> groups;
    std::size_t group = 0;
  } collector;
  const ParameterList all = student.parameters();
  collector.parameter(all.front());
  for (const Block& block : student.blocks()) {
    ++collector.group;
    block.visit(collector);
  }
  ++collector.group;
  for (const ParameterPointer& parameter : all) collector.parameter(parameter);
  std::vector<std::size_t> groups;
  for (const ParameterPointer& parameter : parameters) {
    const auto found = collector.groups.find(parameter.get());
    groups.push_back(found != collector.groups.end() ? found->second : 0);
  }
  return groups;
}

// While this lives, in the last micro-batch of a rank, gradients go to other ranks as soon as they are whole.
class TravelScope {
 public:
  TravelScope(GradientTree& tree, LanguageModel& student, AdamW& optimizer, bool is_last) : student_(student) {
    if (!is_last || ranks().is_alone()) return;
    student.block_is_whole = [&tree, &optimizer](std::size_t block) {
      optimizer.clear_waiting();
      tree.take_groups(block + 1);
    };
  }
  ~TravelScope() { student_.block_is_whole = nullptr; }
  TravelScope(const TravelScope&) = delete;
  TravelScope& operator=(const TravelScope&) = delete;

 private:
  LanguageModel& student_;
};

// What this rank's shards gave.
struct Computed {
  std::vector<double> losses;  // of each shard
  std::string not_finite;      // why it stopped in the middle; empty if it did not
};

Computed compute(GradientTree& tree, LanguageModel& student, AdamW& optimizer, const ShardSizes& shards,
                 const std::function<FusedLoss(std::size_t)>& forward) {
  Computed result;
  const Share batches = own_batches(shards);
  auto batch = static_cast<std::size_t>(batches.begin);
  try {
    for (std::int64_t shard = tree.own().begin; shard < tree.own().end; ++shard) {
      double loss = 0;
      for (std::size_t i = 0; i < shards[static_cast<std::size_t>(shard)]; ++i) {
        throw_if_stopped();
        const TravelScope travel(tree, student, optimizer, std::cmp_equal(batch + 1, batches.end));
        const FusedLoss batch_result = forward(batch++);
        loss += batch_result.value;
        const ProfilePhase phase("backward");
        backward(batch_result.loss);
      }
      const ProfilePhase phase("optimizer");
      optimizer.clear_waiting();
      tree.take_shard();
      result.losses.push_back(loss);
    }
  } catch (const NotFinite& error) {
    result.not_finite = error.what();
    tree.fail();
  }
  tree.send_rest();
  return result;
}

// Of all ranks: the losses of all shards, or what the first of them met.
Computed of_all_ranks(const Computed& own) {
  if (ranks().is_alone()) return own;
  Computed all;
  for (const std::string& one : all_gather(own.not_finite, "what is not finite"))
    if (all.not_finite.empty()) all.not_finite = one;
  if (!all.not_finite.empty()) return all;
  all.losses = gather_numbers(own.losses, "losses");
  return all;
}

}  // namespace

Share own_batches(const ShardSizes& shards) {
  const Share own = share_of(std::ssize(shards), ranks().rank(), ranks().size());
  const auto until = [&](std::int64_t shard) {
    return std::accumulate(shards.begin(), shards.begin() + shard, std::int64_t{0});
  };
  return {until(own.begin), until(own.end)};
}

StepResult update(const TrainConfig& config, std::int64_t step, LanguageModel& student, AdamW& optimizer,
                  const ShardSizes& shards, const std::function<FusedLoss(std::size_t)>& forward) {
  StepResult result;
  result.learning_rate = learning_rate(config.schedule_config(), step);
  const auto skip = [&](std::string reason) {
    clear_gradients(optimizer.parameters());
    result.skipped = true;
    result.reason = std::move(reason);
    return result;
  };
  GradientTree tree(optimizer.parameters(), std::ssize(shards), groups_of(student, optimizer.parameters()));
  const Computed computed = [&] {
    const GradientProductsScope precision(config.backward);
    return of_all_ranks(compute(tree, student, optimizer, shards, forward));
  }();
  const std::vector<Tensor> gradients = [&] {
    const ProfilePhase phase("optimizer");
    return tree.finish();
  }();
  if (!computed.not_finite.empty()) {
    result.loss = result.gradient_norm = std::numeric_limits<double>::quiet_NaN();
    return skip(computed.not_finite);
  }
  result.loss = tree_sum(computed.losses);

  const ProfilePhase phase("optimizer");
  result.gradient_norm = std::sqrt(squared_norm(optimizer.parameters(), gradients));
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm))
    return skip(fmt::format("loss {} or gradient norm {} is not finite", result.loss, result.gradient_norm));
  const bool clipped = config.clip_norm > 0 && result.gradient_norm > config.clip_norm;
  optimizer.step(result.learning_rate, clipped ? config.clip_norm / result.gradient_norm : 1.0, gradients);
  return result;
}

StepResult train_step(const TrainConfig& config, const LossConfig& loss, std::int64_t step, LanguageModel& student,
                      LanguageModel* teacher, AdamW& optimizer, const std::vector<TokenBatch>& micro_batches,
                      const ShardSizes& shards) {
  // The mean is over the tokens of the whole step, so all micro-batches must be known before the first one runs.
  std::int64_t tokens = 0;
  for (const TokenBatch& batch : micro_batches) tokens += counted_tokens(loss, batch);
  StepResult result;
  if (tokens > 0) {
    const auto forward = [&](std::size_t i) { return batch_loss(loss, student, teacher, micro_batches[i], tokens); };
    result =
        update(config, step, student, optimizer, shards.empty() ? ShardSizes{micro_batches.size()} : shards, forward);
  } else {
    result.learning_rate = learning_rate(config.schedule_config(), step);
    result.skipped = true;
    result.reason = "none of its tokens counts in the loss";
  }
  result.tokens = tokens;
  return result;
}

}  // namespace qad
