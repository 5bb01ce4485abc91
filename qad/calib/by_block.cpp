#include "qad/calib/by_block.h"

#include <memory>
#include <set>
#include <utility>

#include "autograd/base/interrupt.h"
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

// Stands before what is in a group's slot.
class Tap final : public OperandTransform {
 public:
  Tap(const LinearGroup& group, const SeeInput& see) : group_(group), see_(see), behind_(group.input_slot) {}
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override {
    see_(group_, x);
    return behind_ != nullptr ? behind_->apply(x, version, readers) : TransformResult{operand_of(x), x, {}};
  }
  [[nodiscard]] const TransformSlot& behind() const { return behind_; }

 private:
  const LinearGroup& group_;
  const SeeInput& see_;
  TransformSlot behind_;
};

// While it lives, `see` is shown what comes to the groups, and their quantizers quantize nothing.
class Shown {
 public:
  Shown(const std::vector<LinearGroup*>& groups, QuantizerSet& quantizers, const SeeInput& see)
      : groups_(groups), quantizers_(quantizers) {
    for (LinearGroup* group : groups_) {
      slots_.push_back(group->input_slot);
      group->input_slot = std::make_shared<Tap>(*group, see);
    }
    quantizers_.set_observing(true);
  }
  ~Shown() {
    for (std::size_t i = 0; i < groups_.size(); ++i) groups_[i]->input_slot = slots_[i];
    quantizers_.set_observing(false);
  }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

 private:
  const std::vector<LinearGroup*>& groups_;
  QuantizerSet& quantizers_;
  std::vector<TransformSlot> slots_;
};

// A block, or what comes behind all of them, with its quantizers.
struct Part {
  std::vector<LinearGroup*> groups;
  QuantizerSet quantizers;
  std::function<Variable(const Variable& x_TC, const TokenBatch& batch)> run;
};

class ByBlock {
 public:
  ByBlock(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches)
      : model_(model), quantizers_(quantizers), batches_(batches) {}

  void run(std::optional<TensorScaleSource> all, const FindScales& find_scales) {
    quantizers_.observe();
    embed();
    for (const Block& block : model_.blocks()) {
      Part part = part_of(block);
      calibrate(part, all, find_scales);
      for_each_batch(part, [&](std::size_t i, const Variable& out_TC) {
        require_finite(out_TC.value(), model_.label + ": " + block.name());
        hidden_[i] = out_TC.value();
      });
    }
    Part last = part_behind_blocks();
    calibrate(last, all, find_scales);
  }

 private:
  void embed() {
    const NoGradScope no_grad;
    for (const TokenBatch& batch : batches_) {
      throw_if_stopped();
      hidden_.push_back(model_.embed(batch).value());
    }
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

  void calibrate(Part& part, std::optional<TensorScaleSource> all, const FindScales& find_scales) {
    if (part.quantizers.empty()) return;
    for_each_batch(part, [](std::size_t, const Variable&) {});
    part.quantizers.end_observing(all);
    find_scales(part.quantizers, [&](const SeeInput& see) {
      const Shown shown(part.groups, part.quantizers, see);
      for_each_batch(part, [](std::size_t, const Variable&) {});
    });
  }

  // Runs the part on what the parts before it gave.
  template <class Take>
  void for_each_batch(const Part& part, Take&& take) const {
    const NoGradScope no_grad;
    for (std::size_t i = 0; i < batches_.size(); ++i) {
      throw_if_stopped();
      take(i, part.run(Variable(hidden_[i]), batches_[i]));
    }
  }

  LanguageModel& model_;
  QuantizerSet& quantizers_;
  const std::vector<TokenBatch>& batches_;
  std::vector<Tensor> hidden_;  // a batch each: what the next part reads, [T, C]
  std::set<const OperandTransform*> in_blocks_;
};

}  // namespace

void calibrate_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        std::optional<TensorScaleSource> all, const FindScales& find_scales) {
  ByBlock(model, quantizers, batches).run(all, find_scales);
}

}  // namespace qad
