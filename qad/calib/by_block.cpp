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

using ShowOne = std::function<void(const Tensor& x)>;

// Stands before what is in a group's slot.
class Tap final : public OperandTransform {
 public:
  Tap(TransformSlot behind, ShowOne see) : behind_(std::move(behind)), see_(std::move(see)) {}
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override {
    see_(x);
    return behind_ != nullptr ? behind_->apply(x, version, readers) : TransformResult{operand_of(x), x, {}};
  }

 private:
  TransformSlot behind_;
  ShowOne see_;
};

// A weight that shows what it multiplies.
class ShowingOperand final : public Operand {
 public:
  ShowingOperand(std::shared_ptr<const Operand> behind, const ShowOne& see) : behind_(std::move(behind)), see_(see) {}
  [[nodiscard]] Shape shape() const override { return behind_->shape(); }
  [[nodiscard]] std::size_t bytes() const override { return behind_->bytes(); }
  void expand_rows(std::int64_t begin, std::int64_t end, float* out) const override {
    behind_->expand_rows(begin, end, out);
  }
  void multiply_transposed(const Tensor& x, float* out) const override {
    see_(x);
    behind_->multiply_transposed(x, out);
  }

 private:
  std::shared_ptr<const Operand> behind_;
  const ShowOne& see_;
};

// Stands before what is in a weight's slot: which of a group's tokens go to an expert only its products tell.
class WeightTap final : public OperandTransform {
 public:
  WeightTap(TransformSlot behind, ShowOne see) : behind_(std::move(behind)), see_(std::move(see)) {}
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override {
    const TransformResult weight =
        behind_ != nullptr ? behind_->apply(x, version, readers) : TransformResult{operand_of(x), x, {}};
    return {std::make_shared<ShowingOperand>(weight.operand, see_), {}, {}};
  }

 private:
  TransformSlot behind_;
  ShowOne see_;
};

// While it lives, `see` is shown what comes to the groups, and their quantizers quantize nothing.
class Shown {
 public:
  Shown(const std::vector<LinearGroup*>& groups, QuantizerSet& quantizers, const SeeInput& see)
      : quantizers_(quantizers) {
    for (LinearGroup* group : groups) {
      const std::span<const Linear> all = group->members;
      if (all.front().token_share >= 1) fill<Tap>(group->input_slot, all, see);
      else
        for (std::size_t i = 0, count = 0; i < all.size(); i += count) {
          for (count = 1; i + count < all.size() && all[i + count].fused == all[i].fused;) ++count;
          fill<WeightTap>(all[i].weight->slot, all.subspan(i, count), see);
        }
    }
    quantizers_.set_observing(true);
  }
  ~Shown() {
    for (const auto& [slot, before] : filled_) *slot = before;
    quantizers_.set_observing(false);
  }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

 private:
  template <class AnyTap>
  void fill(TransformSlot& slot, std::span<const Linear> readers, const SeeInput& see) {
    filled_.emplace_back(&slot, slot);
    slot = std::make_shared<AnyTap>(slot, [readers, &see](const Tensor& x) { see(readers, x); });
  }

  QuantizerSet& quantizers_;
  std::vector<std::pair<TransformSlot*, TransformSlot>> filled_;
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

  void run(std::optional<TensorScaleSource> all, const PrepareBlock& prepare, const FindScales& find_scales) {
    quantizers_.observe();
    embed();
    for (const Block& block : model_.blocks()) {
      Part part = part_of(block);
      calibrate(part, all, prepare, find_scales);
      for_each_batch(part, [&](std::size_t i, const Variable& out_TC) {
        require_finite(out_TC.value(), model_.label + ": " + block.name());
        hidden_[i] = out_TC.value();
      });
    }
    Part last = part_behind_blocks();
    calibrate(last, all, prepare, find_scales);
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

  void calibrate(Part& part, std::optional<TensorScaleSource> all, const PrepareBlock& prepare,
                 const FindScales& find_scales) {
    if (part.quantizers.empty()) return;
    const auto nothing = [](std::size_t, const Variable&) {};
    const ShowInputs show_inputs = [&](const SeeInput& see) {
      const Shown shown(part.groups, part.quantizers, see);
      for_each_batch(part, nothing);
    };
    for_each_batch(part, nothing);
    if (prepare && prepare(part.groups, part.quantizers, show_inputs)) {
      part.quantizers.observe();
      for_each_batch(part, nothing);
    }
    part.quantizers.end_observing(all);
    find_scales(part.quantizers, show_inputs);
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
                        std::optional<TensorScaleSource> all, const FindScales& find_scales,
                        const PrepareBlock& prepare) {
  ByBlock(model, quantizers, batches).run(all, prepare, find_scales);
}

}  // namespace qad
