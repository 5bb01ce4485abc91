#include "qad/search/score_groups.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/base/error.h"
#include "autograd/base/interrupt.h"
#include "autograd/ops/fused_linear_loss.h"

namespace qad {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{32} << 20;

struct GroupNames final : ModuleVisitor {
  void group(LinearGroup& group) override { names.insert(group.name); }
  std::set<std::string> names;
};

// Of each group, the block that it is in.
std::vector<std::size_t> blocks_of(LanguageModel& model, std::span<const SearchGroup* const> groups) {
  std::vector<std::size_t> places(groups.size());
  for (std::size_t b = 0; b < model.blocks().size(); ++b) {
    GroupNames inside;
    model.blocks()[b].visit(inside);
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (inside.names.contains(groups[i]->inputs.front())) places[i] = b;
  }
  return places;
}

// Σ over tokens of the next token's cross-entropy, by the states that the last block gives.
Tensor loss_gradient(LanguageModel& model, const Tensor& last_TC, const TokenBatch& batch) {
  std::vector<float> weights(batch.ids.size());
  std::ranges::transform(batch.labels, weights.begin(), [](auto label) { return label != kNoLabel ? 1.0f : 0.0f; });
  const Variable leaf = Variable::leaf(last_TC);
  LinearGroup& head = model.head();
  const FusedLoss loss = fused_linear_loss(head.input(model.finish(leaf)), head.members.front().weight->operand(),
                                           nullptr, batch.labels, weights, {kernels::RowLoss::cross_entropy});
  backward(loss.loss);
  return leaf.sink()->take();
}

double sum_of_squares(const Tensor& gradient, const Tensor& quantized, const Tensor& plain) {
  double sum = 0;
  for (std::int64_t i = 0; i < gradient.size(); ++i) {
    const double term = static_cast<double>(gradient.data()[i]) *
                        (static_cast<double>(quantized.data()[i]) - static_cast<double>(plain.data()[i]));
    sum += term * term;
  }
  return sum;
}

}  // namespace

SlotsByGroup slots_of(LanguageModel& model) {
  SlotsByGroup slots;
  for (const LinearGroup* group : model.linear_groups()) {
    LinearSlots& own = slots[group->name];
    own.input = group->input_slot;
    for (const Linear& member : group->members) own.weights.push_back(member.weight->slot);
  }
  return slots;
}

void put_slots(LanguageModel& model, const SlotsByGroup& slots, std::span<const std::string> groups) {
  const std::set<std::string> wanted(groups.begin(), groups.end());
  for (LinearGroup* group : model.linear_groups()) {
    if (!wanted.contains(group->name)) continue;
    const LinearSlots& own = slots.at(group->name);
    group->input_slot = own.input;
    for (std::size_t i = 0; i < group->members.size(); ++i) group->members[i].weight->slot = own.weights[i];
  }
}

void freeze(LanguageModel& model) {
  for (const ParameterPointer& parameter : model.parameters()) parameter->variable = Variable(parameter->value());
}

KlToTeacher::KlToTeacher(LanguageModel& teacher, const std::vector<TokenBatch>& batches) : batches_(batches) {
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    heads_.push_back(frozen_head(teacher, batch));
  }
}

double KlToTeacher::operator()(LanguageModel& model) const {
  const NoGradScope no_grad;
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    throw_if_stopped();
    const TokenBatch& batch = batches_[i];
    const TokenFigures figures = fused_linear_figures(frozen_head(model, batch), heads_[i], batch.labels, kChunkBytes);
    for (std::size_t token = 0; token < batch.valid.size(); ++token) {
      if (batch.valid[token] == 0) continue;
      sum += figures.kl[token];
      ++count;
    }
  }
  const double mean = sum / static_cast<double>(std::max<std::int64_t>(1, count));
  if (!std::isfinite(mean))
    throw NotFinite({.who = model.label + ": logits", .expected = "finite values", .got = "an infinity or NaN"});
  return mean;
}

std::vector<double> gradient_scores(LanguageModel& model, const std::vector<TokenBatch>& batches,
                                    std::span<const SearchGroup* const> groups,
                                    const std::function<void(std::size_t, bool)>& quantize,
                                    const std::function<void(std::int64_t)>& done) {
  const std::vector<std::size_t> places = blocks_of(model, groups);
  std::vector<double> scores(groups.size());
  std::int64_t labels = 0;
  for (const TokenBatch& batch : batches) {
    throw_if_stopped();
    const ForwardPlan plan = LanguageModel::plan_of(batch);
    std::vector<Tensor> states_TC;  // what each block reads, and what the last one gives
    {
      const NoGradScope no_grad;
      states_TC.push_back(model.embed(batch).value());
      for (const Block& block : model.blocks())
        states_TC.push_back(block(Variable(states_TC.back()), plan, nullptr).value());
    }
    Tensor gradient = loss_gradient(model, states_TC.back(), batch);
    for (std::size_t b = model.blocks().size(); b-- > 0;) {
      const Block& block = model.blocks()[b];
      for (std::size_t i = 0; i < groups.size(); ++i) {
        if (places[i] != b) continue;
        throw_if_stopped();
        const NoGradScope no_grad;
        quantize(i, true);
        const Variable quantized = block(Variable(states_TC[b]), plan, nullptr);
        quantize(i, false);
        scores[i] += sum_of_squares(gradient, quantized.value(), states_TC[b + 1]);
      }
      const Variable leaf = Variable::leaf(states_TC[b]);
      backward(block(leaf, plan, nullptr), gradient);
      gradient = leaf.sink()->take();
    }
    labels += std::ranges::count_if(batch.labels, [](auto label) { return label != kNoLabel; });
    done(batch.size());
  }
  for (double& score : scores) score /= 2.0 * static_cast<double>(std::max<std::int64_t>(1, labels));
  return scores;
}

}  // namespace qad
