#include "qad/calib/by_block.h"

#include <algorithm>
#include <memory>
#include <set>

#include "autograd/base/interrupt.h"
#include "autograd/nn/taps.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/require_finite.h"

namespace qad {
namespace {

// What a part of a model has of quantizers.
struct Slots final : ModuleVisitor {
  void parameter(const ParameterPointer& parameter) override { filled.insert(parameter->slot.get()); }
  void group(LinearGroup& group) override {
    groups.push_back(&group);
    filled.insert(group.input_slot.get());
  }
  void attention(SelfAttention& attention) override {
    filled.insert(attention.key_slot.get());
    filled.insert(attention.value_slot.get());
  }
  std::set<const OperandTransform*> filled;
  std::vector<LinearGroup*> groups;
};

struct Parameters final : ModuleVisitor {
  void parameter(const ParameterPointer& parameter) override { found.push_back(parameter.get()); }
  std::vector<Parameter*> found;
};

// While it lives, `see` is shown what comes to the groups, and their quantizers quantize nothing.
class Shown {
 public:
  Shown(const std::vector<LinearGroup*>& groups, QuantizerSet& quantizers, const SeeInput& see)
      : quantizers_(quantizers) {
    for (LinearGroup* group : groups) {
      const std::span<const Linear> all = group->members;
      if (all.front().token_share >= 1) {
        taps_.add<InputTap>(group->input_slot, [all, &see](const Tensor& x) { see(all, x); });
        continue;
      }
      for (std::size_t i = 0, count = 0; i < all.size(); i += count) {
        for (count = 1; i + count < all.size() && all[i + count].fused == all[i].fused;) ++count;
        const std::span<const Linear> readers = all.subspan(i, count);
        taps_.add<ProductTap>(all[i].weight->slot, [readers, &see](const Tensor& x, const float*) { see(readers, x); });
      }
    }
    quantizers_.set_observing(true);
  }
  ~Shown() { quantizers_.set_observing(false); }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

 private:
  QuantizerSet& quantizers_;
  Taps taps_;
};

// A block, or what comes behind all of them, with its quantizers.
struct Part {
  std::vector<LinearGroup*> groups;
  QuantizerSet quantizers;
  std::function<Variable(const Variable& x_TC, const TokenBatch& batch)> run;
};

// A model that is all in memory.
class AllInMemory final : public PartsInTurn {
 public:
  explicit AllInMemory(std::size_t batches) : states_(batches) {}
  [[nodiscard]] std::size_t first() const override { return 0; }
  void begin(std::size_t /*part*/) override {}
  void end(std::size_t /*part*/) override {}
  [[nodiscard]] Tensor state(std::size_t batch) const override { return states_[batch]; }
  void set_state(std::size_t batch, const Tensor& x_TC) override { states_[batch] = x_TC; }

 private:
  std::vector<Tensor> states_;
};

class ByBlock {
 public:
  ByBlock(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches, PartsInTurn& parts)
      : model_(model), quantizers_(quantizers), batches_(batches), parts_(parts) {}

  // `find` finds what there is to find for a part; those that come next see what it made of it.
  template <class Find>
  void run(Find&& find) {
    const std::size_t first = parts_.first();
    if (first == 0) embed();
    std::size_t number = 1;
    for (const Block& block : model_.blocks()) {
      Part part = part_of(block);
      if (number >= first) {
        parts_.begin(number);
        find(part);
        for_each_batch(part, [&](std::size_t i, const Variable& out_TC) {
          require_finite(out_TC.value(), model_.label + ": " + block.name());
          parts_.set_state(i, out_TC.value());
        });
        parts_.end(number);
      }
      ++number;
    }
    if (number < first) return;
    Part last = part_behind_blocks();
    parts_.begin(number);
    find(last);
    parts_.end(number);
  }

  void calibrate(Part& part, std::optional<TensorScaleSource> all, const PrepareBlock& prepare,
                 const FindScales& find_scales) {
    if (part.quantizers.empty()) return;
    const ShowInputs show_inputs = [&](const SeeInput& see) {
      const Shown shown(part.groups, part.quantizers, see);
      watch(part);
    };
    watch(part);
    if (prepare && prepare(part.groups, part.quantizers, show_inputs)) {
      part.quantizers.observe();
      watch(part);
    }
    part.quantizers.end_observing(all);
    find_scales(part.quantizers, show_inputs);
  }

  void watch(const Part& part) const {
    for_each_batch(part, [](std::size_t, const Variable&) {});
  }

 private:
  void embed() {
    const NoGradScope no_grad;
    parts_.begin(0);
    for (std::size_t i = 0; i < batches_.size(); ++i) {
      throw_if_stopped();
      parts_.set_state(i, model_.embed(batches_[i]).value());
    }
    parts_.end(0);
  }

  Part part_of(const Block& block) {
    Slots slots;
    block.visit(slots);
    Part part{std::move(slots.groups),
              quantizers_.only([&](const Quantizer& one) { return slots.filled.contains(&one); }),
              [&block](const Variable& x_TC, const TokenBatch& batch) {
                return block(x_TC, LanguageModel::plan_of(batch), nullptr);
              }};
    in_blocks_.merge(slots.filled);
    return part;
  }

  Part part_behind_blocks() {
    return {{&model_.head()},
            quantizers_.only([&](const Quantizer& one) { return !in_blocks_.contains(&one); }),
            // The head's own product is not needed: its quantizer only has to see its input.
            [this](const Variable& x_TC, const TokenBatch& /*batch*/) {
              return transformed(model_.finish(x_TC), model_.head().input_slot);
            }};
  }

  // Runs the part on what the parts before it gave.
  template <class Take>
  void for_each_batch(const Part& part, Take&& take) const {
    const NoGradScope no_grad;
    for (std::size_t i = 0; i < batches_.size(); ++i) {
      throw_if_stopped();
      take(i, part.run(Variable(parts_.state(i)), batches_[i]));
    }
  }

  LanguageModel& model_;
  QuantizerSet& quantizers_;
  const std::vector<TokenBatch>& batches_;
  PartsInTurn& parts_;  // with what the next part reads, [T, C] a batch
  std::set<const OperandTransform*> in_blocks_;
};

}  // namespace

std::vector<Parameter*> parameters_of_part(LanguageModel& model, std::size_t part) {
  const std::span<const Block> blocks = model.blocks();
  Parameters collector;
  if (part > 0 && part <= blocks.size()) {
    blocks[part - 1].visit(collector);
    return collector.found;
  }
  model.visit(collector);
  std::set<const Parameter*> in_blocks;
  for (const Block& block : blocks) {
    Parameters own;
    block.visit(own);
    in_blocks.insert(own.found.begin(), own.found.end());
  }
  std::erase_if(collector.found, [&](const Parameter* one) {
    return in_blocks.contains(one) || (one->role == Role::embedding) != (part == 0);
  });
  return collector.found;
}

void calibrate_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        std::optional<TensorScaleSource> all, const FindScales& find_scales,
                        const PrepareBlock& prepare) {
  quantizers.observe();
  AllInMemory parts(batches.size());
  ByBlock by_block(model, quantizers, batches, parts);
  by_block.run([&](Part& part) { by_block.calibrate(part, all, prepare, find_scales); });
}

void calibrate_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        const FindScales& find_scales, const PrepareBlock& prepare, PartsInTurn& parts) {
  ByBlock by_block(model, quantizers, batches, parts);
  by_block.run([&](Part& part) { by_block.calibrate(part, {}, prepare, find_scales); });
}

void observe_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                      PartsInTurn& parts) {
  ByBlock by_block(model, quantizers, batches, parts);
  const std::size_t behind = model.blocks().size() + 1;
  std::size_t number = std::max<std::size_t>(parts.first(), 1);
  // A block runs once: what it gives is what it shows. Behind the last one nothing comes that would run it.
  by_block.run([&](Part& part) {
    if (number++ == behind) by_block.watch(part);
  });
}

}  // namespace qad
