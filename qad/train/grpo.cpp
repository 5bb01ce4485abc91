#include "qad/train/grpo.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/base/profile.h"
#include "autograd/optim/gradient_tree.h"
#include "data/text/packing.h"
#include "models/decode/generate_over_ranks.h"
#include "qad/loss/loss.h"

namespace qad {
namespace {

using Ids = std::vector<std::int32_t>;

struct SampledAnswer {
  Ids ids;  // of prompt and answer, the end token included
  std::int64_t prompt_tokens = 0;
  bool cut = false;
  Reward reward;
  double advantage = 0;

  [[nodiscard]] std::int64_t new_tokens() const { return static_cast<std::int64_t>(ids.size()) - prompt_tokens; }
};

// `group_size` answers to each prompt, together. SampledAnswer i draws from stream `first + i`.
std::vector<SampledAnswer> sample(LanguageModel& model, const std::vector<Ids>& prompts, const GrpoStageConfig& config,
                                  std::int64_t first) {
  const ProfilePhase phase("rollout");
  const GenerateConfig generation{.max_tokens = 0,
                                  .max_new_tokens = config.grpo.max_new_tokens,
                                  .temperature = config.grpo.temperature,
                                  .seed = config.seed,
                                  .samples = config.grpo.group_size};
  const DecodeHead head(model, config.decode.head);
  std::vector<GeneratedSequence> texts = generate_over_ranks(model, prompts, generation, first);
  std::vector<SampledAnswer> answers;
  for (GeneratedSequence& text : texts)
    answers.push_back({std::move(text.ids), text.prompt_tokens, !text.ended, {}, 0});
  return answers;
}

// Rewards and advantages of the answers to one prompt.
void judge(std::span<SampledAnswer> group, const RewardedPrompts& prompts, std::int64_t index) {
  std::vector<double> rewards;
  for (SampledAnswer& answer : group) {
    const auto written = std::span(answer.ids).subspan(static_cast<std::size_t>(answer.prompt_tokens));
    answer.reward = prompts.reward(index, answer.cut ? written : written.first(written.size() - 1), answer.cut);
    rewards.push_back(answer.reward.value);
  }
  const std::vector<double> advantages = group_advantages(rewards);
  for (std::size_t i = 0; i < group.size(); ++i) group[i].advantage = advantages[i];
}

// Log-probability of each label; 0 where there is none.
std::vector<double> label_log_probabilities(LanguageModel& model, const TokenBatch& batch) {
  const NoGradScope no_grad;
  std::vector<double> values =
      weighted_loss({LossKind::cross_entropy}, model, nullptr, batch, std::vector<float>(batch.ids.size(), 1.0f)).rows;
  for (double& value : values) value = -value;
  return values;
}

using Group = std::span<const SampledAnswer>;

struct PackedAnswers {
  std::vector<GrpoBatch> batches;
  ShardSizes shards;
};

PackedAnswers pack(std::span<const Group> groups, const GrpoStageConfig& config) {
  Documents documents;
  documents.source = "answers";
  std::vector<double> advantages;
  std::int64_t longest = 0;
  for (const Group& group : groups) {
    for (const SampledAnswer& answer : group) {
      documents.add(answer.ids, answer.prompt_tokens);
      advantages.push_back(answer.advantage);
      longest = std::max(longest, static_cast<std::int64_t>(answer.ids.size()));
    }
  }
  const PackedSequences sequences(std::move(documents), Packing::documents, std::max(longest, config.sequence_length));
  const std::int64_t size = config.train.micro_batch_size > 0 ? config.train.micro_batch_size : config.train.batch_size;
  PackedAnswers packed;
  for (std::int64_t shard = 0; shard < config.train.shards; ++shard) {
    const Share own = share_of(sequences.count(), static_cast<int>(shard), static_cast<int>(config.train.shards));
    const std::size_t before = packed.batches.size();
    for (std::int64_t begin = own.begin; begin < own.end; begin += size) {
      GrpoBatch batch{sequences.batch(begin, std::min(begin + size, own.end)), {}, {}, {}};
      for (std::size_t s = 0; s < batch.tokens.segments.size(); ++s) {
        const Segment& segment = batch.tokens.segments[s];
        batch.advantage.insert(batch.advantage.end(), static_cast<std::size_t>(segment.end - segment.begin),
                               advantages[static_cast<std::size_t>(batch.tokens.document[s])]);
      }
      packed.batches.push_back(std::move(batch));
    }
    packed.shards.push_back(packed.batches.size() - before);
  }
  return packed;
}

// Parameters and moments, to be taken back to.
class Snapshot {
 public:
  explicit Snapshot(AdamW& optimizer) : optimizer_(optimizer), updates_(optimizer.updates()) {
    for (std::size_t i = 0; i < optimizer.states().size(); ++i)
      kept_.push_back({optimizer.parameters()[i]->value().clone(), optimizer.states()[i].first.clone(),
                       optimizer.states()[i].second.clone()});
  }
  void restore() const {
    optimizer_.set_updates(updates_);
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      Parameter& parameter = *optimizer_.parameters()[i];
      parameter.value().copy_from(kept_[i].value);
      parameter.changed();
      optimizer_.states()[i].first.copy_from(kept_[i].first);
      optimizer_.states()[i].second.copy_from(kept_[i].second);
    }
  }

 private:
  struct Kept {
    Tensor value, first, second;
  };
  AdamW& optimizer_;
  std::int64_t updates_;
  std::vector<Kept> kept_;
};

RolloutFigures figures_of(std::span<const SampledAnswer> answers) {
  RolloutFigures figures{0, 0, 0, 0};
  const auto count = static_cast<double>(answers.size());
  for (const SampledAnswer& answer : answers) {
    figures.reward += answer.reward.value / count;
    figures.right += answer.reward.right ? 1 / count : 0;
    figures.length += static_cast<double>(answer.new_tokens()) / count;
    figures.cut += answer.cut ? 1 / count : 0;
  }
  return figures;
}

}  // namespace

struct GrpoStage::MiniBatch : PackedAnswers {
  std::int64_t tokens = 0;  // with a label
};

StepResult GrpoStage::run(std::int64_t step, AdamW& optimizer) {
  std::optional<Snapshot> before;
  if (config_.grpo.mini_batches * config_.grpo.epochs > 1) before.emplace(optimizer);
  StepResult result;
  try {
    result = learn(step, optimizer);
  } catch (const Stopped&) {
    if (before) before->restore();
    throw;
  } catch (const NotFinite& error) {
    result.learning_rate = learning_rate(config_.train.schedule_config(), step);
    result.loss = result.gradient_norm = std::numeric_limits<double>::quiet_NaN();
    result.skipped = true;
    result.reason = error.what();
  }
  if (before && result.skipped) before->restore();
  return result;
}

double GrpoStage::look_up(std::vector<MiniBatch>& mini_batches) {
  const ProfilePhase phase("reference");
  const Share own = share_of(config_.train.shards, ranks().rank(), ranks().size());
  std::int64_t tokens = 0;
  std::vector<double> kl(static_cast<std::size_t>(own.size()));  // of each shard
  for (MiniBatch& mini : mini_batches) {
    tokens += mini.tokens;
    auto next = static_cast<std::size_t>(own_batches(mini.shards).begin);
    for (std::int64_t shard = own.begin; shard < own.end; ++shard)
      for (std::size_t i = 0; i < mini.shards[static_cast<std::size_t>(shard)]; ++i) {
        GrpoBatch& batch = mini.batches[next++];
        batch.old = label_log_probabilities(student_, batch.tokens);
        batch.reference = label_log_probabilities(reference_, batch.tokens);
        double& sum = kl[static_cast<std::size_t>(shard - own.begin)];
        batch.each_label([&](std::size_t t) { sum += kl_estimate(batch.old[t], batch.reference[t]); });
      }
  }
  return tree_sum(gather_numbers(kl, "what the reference says")) /
         static_cast<double>(std::max<std::int64_t>(tokens, 1));
}

StepResult GrpoStage::learn_from(const MiniBatch& mini, bool is_first, std::int64_t step, AdamW& optimizer) {
  const auto forward = [&](std::size_t i) {
    const GrpoBatch& batch = mini.batches[i];
    const GrpoGradient gradient = grpo_gradient(
        config_.grpo, batch, is_first ? batch.old : label_log_probabilities(student_, batch.tokens), mini.tokens);
    FusedLoss loss = weighted_loss({LossKind::cross_entropy}, student_, nullptr, batch.tokens, gradient.weights);
    loss.value = gradient.loss;  // what is told; the other has its gradient
    return loss;
  };
  return update(config_.train, step, student_, optimizer, mini.shards, forward);
}

StepResult GrpoStage::learn(std::int64_t step, AdamW& optimizer) {
  const GrpoConfig& grpo = config_.grpo;
  const auto group_size = static_cast<std::size_t>(grpo.group_size);
  const std::int64_t first_prompt = (step - 1) * grpo.prompts;
  StepResult result;
  result.learning_rate = learning_rate(config_.train.schedule_config(), step);

  std::vector<Ids> prompts;
  for (std::int64_t i = 0; i < grpo.prompts; ++i) prompts.push_back(prompts_.prompt(first_prompt + i));
  std::vector<SampledAnswer> answers = sample(student_, prompts, config_, first_prompt * grpo.group_size);

  // Groups without a spread say nothing and cost nothing: their answers are left out, of the KL too.
  std::vector<Group> groups;
  for (std::size_t i = 0; i < static_cast<std::size_t>(grpo.prompts); ++i) {
    const std::span<SampledAnswer> group = std::span(answers).subspan(i * group_size, group_size);
    judge(group, prompts_, first_prompt + static_cast<std::int64_t>(i));
    if (std::ranges::any_of(group, [](const SampledAnswer& answer) { return answer.advantage != 0; }))
      groups.push_back(group);
  }
  result.rollout = figures_of(answers);
  result.rollout->learned_from = static_cast<double>(groups.size()) / static_cast<double>(grpo.prompts);
  if (groups.empty()) return result;

  std::vector<MiniBatch> mini_batches;
  const std::size_t parts = std::min(groups.size(), static_cast<std::size_t>(grpo.mini_batches));
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = part * groups.size() / parts, end = (part + 1) * groups.size() / parts;
    MiniBatch& mini =
        mini_batches.emplace_back(MiniBatch{pack(std::span(groups).subspan(begin, end - begin), config_)});
    for (const GrpoBatch& batch : mini.batches) mini.tokens += counted_tokens({LossKind::cross_entropy}, batch.tokens);
  }
  result.rollout->kl = look_up(mini_batches);

  for (std::int64_t epoch = 0; epoch < grpo.epochs; ++epoch) {
    for (const MiniBatch& mini : mini_batches) {
      const bool is_first = result.tokens == 0;  // until then the model is the one that wrote the answers
      const StepResult part = learn_from(mini, is_first, step, optimizer);
      const auto before = static_cast<double>(result.tokens), now = static_cast<double>(mini.tokens);
      result.loss = (before * result.loss + now * part.loss) / (before + now);
      result.gradient_norm = std::max(result.gradient_norm, part.gradient_norm);
      result.tokens += mini.tokens;
      result.skipped = part.skipped;
      result.reason = part.reason;
      if (part.skipped) return result;
    }
  }
  return result;
}

}  // namespace qad
