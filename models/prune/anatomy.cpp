#include "models/prune/anatomy.h"

#include "autograd/base/error.h"

namespace qad {
namespace {

class Dissection final : public ModuleVisitor {
 public:
  explicit Dissection(BlockAnatomy& block) : block_(block) {}

  void kind(ModuleKind kind) override {
    kind_ = kind;
    if (kind == ModuleKind::shared_experts) {
      block_.experts->shared.emplace();
      return;
    }
    block_.norms.push_back({last_, nullptr});  // a layer comes after its norm
    if (kind == ModuleKind::feed_forward) block_.feed_forward.emplace();
    if (kind == ModuleKind::experts) block_.experts.emplace();
    if (kind == ModuleKind::mamba) block_.mamba.emplace();
  }
  void attention(SelfAttention& attention) override { block_.attention = &attention; }
  void experts(RoutedExperts& experts) override { block_.experts->shown = &experts; }

  void group(LinearGroup& group) override {
    if (NormAnatomy& norm = block_.norms.back(); norm.reader == nullptr) norm.reader = &group;
    switch (kind_) {
      case ModuleKind::feed_forward: place(*block_.feed_forward, group); break;
      case ModuleKind::experts: place(*block_.experts, group); break;
      case ModuleKind::shared_experts: place(*block_.experts->shared, group); break;
      case ModuleKind::mamba: (block_.mamba->in == nullptr ? block_.mamba->in : block_.mamba->out) = &group; break;
      default: break;
    }
  }

  void parameter(const ParameterPointer& parameter) override {
    last_ = parameter;
    if (kind_ == ModuleKind::experts && block_.experts->router == nullptr) block_.experts->router = parameter;
    if (kind_ == ModuleKind::shared_experts && parameter->role == Role::router) block_.experts->shared_gate = parameter;
    if (kind_ == ModuleKind::mamba) place(*block_.mamba, parameter);
  }

 private:
  static void place(FeedForwardAnatomy& part, LinearGroup& group) {
    (part.inputs == nullptr ? part.inputs : part.down) = &group;
  }
  static void place(ExpertsAnatomy& part, LinearGroup& group) {
    if (group.members.front().name.starts_with(part.shown->name + ".experts.")) place(part.routed, group);
    else (part.latent_in == nullptr ? part.latent_in : part.latent_out) = &group;
  }
  static void place(MambaAnatomy& part, const ParameterPointer& parameter) {
    if (parameter->role == Role::convolution) part.taps = parameter;
    else if (parameter->role == Role::decay) part.by_head.push_back(parameter);
    else if (parameter->role == Role::norm && part.norm == nullptr) part.norm = parameter;
    else if (parameter->role == Role::bias && part.taps != nullptr && part.by_head.empty()) part.tap_bias = parameter;
  }

  BlockAnatomy& block_;
  ModuleKind kind_ = ModuleKind::head;
  ParameterPointer last_;
};

}  // namespace

std::vector<BlockAnatomy> anatomy_of(LanguageModel& model) {
  std::vector<BlockAnatomy> blocks;
  for (const Block& block : model.blocks()) {
    BlockAnatomy& anatomy = blocks.emplace_back(BlockAnatomy{block.name(), {}, {}, {}, {}, {}});
    Dissection dissection(anatomy);
    block.visit(dissection);
  }
  return blocks;
}

}  // namespace qad
