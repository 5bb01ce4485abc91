#include "models/decode/decoding_layout.h"

#include <memory>

#include "autograd/tape/interleaved_operand.h"

namespace qad {

void lay_out_for_decoding(LanguageModel& model) {
  const auto lay_out = [](Parameter& weight) {
    if (weight.trained() || weight.slot != nullptr || weight.kept != nullptr) return;
    const Tensor plain = weight.value();
    if (plain.dtype() != DType::bf16) return;
    weight.kept = std::make_shared<InterleavedOperand>(plain);
    weight.variable = Variable();
  };
  for (LinearGroup* group : model.linear_groups())
    for (const Linear& member : group->members) lay_out(*member.weight);
}

}  // namespace qad
