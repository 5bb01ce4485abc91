// What a group of layers in a number format costs a model: measured against a teacher, or estimated by gradients.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "models/language_model.h"
#include "qad/loss/loss.h"
#include "qad/search/search_space.h"

namespace qad {

/// What stands in the slots of linear layers, by their group.
struct LinearSlots {
  TransformSlot input;
  std::vector<TransformSlot> weights;  ///< of each member
};
using SlotsByGroup = std::map<std::string, LinearSlots>;
[[nodiscard]] SlotsByGroup slots_of(LanguageModel& model);
/// Fills those of these groups alone.
void put_slots(LanguageModel& model, const SlotsByGroup& slots, std::span<const std::string> groups);

/// The KL of models to a teacher on some text, whose own states are computed once and kept: [T, C] of each batch.
class KlToTeacher {
 public:
  KlToTeacher(LanguageModel& teacher, const std::vector<TokenBatch>& batches);
  /// Mean over valid tokens, in nats. Throws NotFinite, as evaluate does.
  [[nodiscard]] double operator()(LanguageModel& model) const;

 private:
  const std::vector<TokenBatch>& batches_;
  std::vector<TeacherHead> heads_;
};

/// An estimate of the same for each group, all else being as it is: with g the gradient of the next token's
/// cross-entropy by the states h [T, C] that the group's block gives, Σ (g·Δh)²/2 a token, what the diagonal of the
/// Fisher information says of Δh, the change that quantizing the group makes there. One backward, a block at a time,
/// and a forward of its block for each group. `quantize(i, on)` switches group i; `done(tokens)` is told after each
/// batch. Parameters of `model` must be frozen.
[[nodiscard]] std::vector<double> gradient_scores(LanguageModel& model, const std::vector<TokenBatch>& batches,
                                                  std::span<const SearchGroup* const> groups,
                                                  const std::function<void(std::size_t, bool)>& quantize,
                                                  const std::function<void(std::int64_t)>& done);

/// Parameters become constants, so that no gradient of theirs is computed.
void freeze(LanguageModel& model);

}  // namespace qad
