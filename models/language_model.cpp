#include "models/language_model.h"

#include <algorithm>

#include "autograd/base/error.h"
#include "autograd/ops/embedding.h"
#include "autograd/ops/gradient_mark.h"
#include "autograd/ops/require_finite.h"
#include "autograd/ops/rms_norm.h"

namespace qad {
namespace {

template <class Call>
void for_each_state(const std::vector<Block::State>& blocks, Call&& call) {
  for (const Block::State& block : blocks)
    for (const auto& layer : block)
      if (layer != nullptr) call(*layer);
}

std::string module_of(const Parameter& weight) {
  return weight.name.substr(0, weight.name.size() - std::string_view(".weight").size());
}

ForwardPlan plan_with(const TokenBatch& batch, std::vector<SequencePart> parts) {
  const std::int64_t longest = batch.positions.empty() ? 1 : *std::ranges::max_element(batch.positions) + 1;
  return {std::make_shared<const std::vector<std::int32_t>>(batch.positions), longest,
          std::make_shared<const std::vector<SequencePart>>(std::move(parts))};
}

}  // namespace

void DecodingState::copy(std::int64_t from, std::int64_t to, std::int64_t tokens) {
  for_each_state(blocks_, [&](LayerState& layer) { layer.copy(from, to, tokens); });
}

void DecodingState::cut(std::int64_t slot, std::int64_t tokens) {
  for_each_state(blocks_, [&](LayerState& layer) { layer.cut(slot, tokens); });
}

std::size_t DecodingState::bytes() const {
  std::size_t bytes = 0;
  for_each_state(blocks_, [&](const LayerState& layer) { bytes += layer.bytes(); });
  return bytes;
}

LanguageModel::LanguageModel(const ModelConfig& config, Modules modules)
    : config_(config), modules_(std::move(modules)) {}

ForwardPlan LanguageModel::plan_of(const TokenBatch& batch) {
  std::vector<SequencePart> parts;
  for (const Segment& segment : batch.segments) parts.push_back({segment.begin, segment.end});
  return plan_with(batch, std::move(parts));
}

Variable LanguageModel::embed(const TokenBatch& batch) const {
  Variable x_TC =
      embedding(std::make_shared<const std::vector<std::int32_t>>(batch.ids), modules_.embedding->operand());
  guard(x_TC, module_of(*modules_.embedding));
  return x_TC;
}

Variable LanguageModel::finish(const Variable& x_TC) const {
  Variable hidden_TC =
      rms_norm(x_TC, modules_.norm->operand(), static_cast<float>(config_.rms_norm_eps), modules_.norm_offset);
  guard(hidden_TC, module_of(*modules_.norm));
  return hidden_TC;
}

Variable LanguageModel::hidden_states(const TokenBatch& batch) const { return forward(batch, plan_of(batch), nullptr); }

Variable LanguageModel::hidden_states(const TokenBatch& batch, const std::vector<SequencePart>& parts,
                                      const DecodingState& state) const {
  QAD_ASSERT(!recording());
  return forward(batch, plan_with(batch, parts), &state);
}

Variable LanguageModel::forward(const TokenBatch& batch, const ForwardPlan& plan, const DecodingState* state) const {
  Variable x_TC = embed(batch);
  for (std::size_t i = 0; i < modules_.blocks.size(); ++i) {
    if (block_is_whole && recording()) x_TC = gradient_mark(x_TC, [call = block_is_whole, i] { call(i); });
    const Block::State* const remembered = state != nullptr ? &state->block(i) : nullptr;
    const auto run = [block = &modules_.blocks[i], plan, remembered](const Variable& x) {
      return (*block)(x, plan, remembered);
    };
    x_TC = activation_checkpointing == ActivationCheckpointing::block ? recompute(run, x_TC) : run(x_TC);
    guard(x_TC, modules_.blocks[i].name());
  }
  return finish(x_TC);
}

void LanguageModel::guard(const Variable& x, const std::string& place) const {
  if (!recording()) require_finite(x.value(), label + ": " + place);
}

DecodingState LanguageModel::make_state(std::int64_t slots, std::int64_t capacity) const {
  std::vector<Block::State> blocks;
  for (const Block& block : modules_.blocks) blocks.push_back(block.make_state(slots, capacity));
  return DecodingState(std::move(blocks));
}

void LanguageModel::visit(ModuleVisitor& visitor) {
  visitor.parameter(modules_.embedding);
  for (const Block& block : modules_.blocks) block.visit(visitor);
  visitor.parameter(modules_.norm);
  visitor.kind(ModuleKind::head);
  if (modules_.head.members.front().weight == modules_.embedding) visitor.group(modules_.head);
  else qad::visit(modules_.head, visitor);
}

ParameterList LanguageModel::parameters() {
  struct Collector final : ModuleVisitor {
    void parameter(const ParameterPointer& parameter) override { found.push_back(parameter); }
    ParameterList found;
  } collector;
  visit(collector);
  return collector.found;
}

std::vector<LinearGroup*> LanguageModel::linear_groups() {
  struct Collector final : ModuleVisitor {
    void group(LinearGroup& group) override { found.push_back(&group); }
    std::vector<LinearGroup*> found;
  } collector;
  visit(collector);
  return collector.found;
}

std::vector<SelfAttention*> LanguageModel::attention_layers() {
  struct Collector final : ModuleVisitor {
    void attention(SelfAttention& attention) override { found.push_back(&attention); }
    std::vector<SelfAttention*> found;
  } collector;
  visit(collector);
  return collector.found;
}

std::int64_t parameter_count(LanguageModel& model) {
  std::int64_t count = 0;
  for (const ParameterPointer& parameter : model.parameters()) count += parameter->shape().size();
  return count;
}

Tensor logits_of(LanguageModel& model, const Tensor& hidden) {
  const NoGradScope no_grad;
  LinearGroup& head = model.head();
  const Linear& member = head.members.front();
  Tensor logits = times_transposed(head.input(Variable(hidden)), member.weight->operand().values());
  require_finite(logits, model.label + ": " + member.name);
  return logits;
}

}  // namespace qad
