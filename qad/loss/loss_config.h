// The recipe's `loss` section.
#pragma once

#include <array>
#include <cstdint>

#include "autograd/base/fields.h"

namespace qad {

enum class LossKind : std::uint8_t { kl, kl_reverse, logit_mse, cross_entropy };
constexpr auto enum_names(LossKind) {
  return std::to_array<EnumName<LossKind>>({{LossKind::kl, "kl"},
                                            {LossKind::kl_reverse, "kl_reverse"},
                                            {LossKind::logit_mse, "logit_mse"},
                                            {LossKind::cross_entropy, "cross_entropy"}});
}

struct LossConfig {
  LossKind kind = LossKind::kl;
  double temperature = 1.0;
  double hidden_weight = 0;
  std::int64_t chunk_mebibytes = 32;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(
        Field{"kind", "kl: KL(teacher || student); the others for comparison; qat, pretrain and sft use cross_entropy"},
        kind);
    visit(Field{"temperature", "of both softmaxes; the loss is multiplied by its square"}.above(0), temperature);
    visit(Field{"hidden_weight",
                "adds so many times the squared distance between the student's last hidden state and the teacher's, "
                "over the squared length of the teacher's; 0: nothing"}
              .at_least(0),
          hidden_weight);
    visit(Field{"chunk_mebibytes", "memory for the logits of one chunk of tokens"}.at_least(1), chunk_mebibytes);
  }
};

}  // namespace qad
