// The recipe's `prune` section: how small the student becomes, and what of the model it starts from stays.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/base/fields.h"

namespace qad {

enum class PruneMethod : std::uint8_t { importance, random, fresh };
inline constexpr auto enum_names(PruneMethod) {
  return std::to_array<EnumName<PruneMethod>>(
      {{PruneMethod::importance, "importance"}, {PruneMethod::random, "random"}, {PruneMethod::fresh, "fresh"}});
}

struct PruneConfig {
  PruneMethod method = PruneMethod::importance;
  // 0: as it is
  std::int64_t num_hidden_layers = 0, hidden_size = 0, intermediate_size = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0;
  std::int64_t num_experts = 0, moe_intermediate_size = 0;
  std::int64_t mamba_num_heads = 0;
  std::vector<std::int64_t> layers{};
  std::int64_t multiple = 16;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"method",
                "what stays: importance, what the model's activations are largest in on the text to calibrate on; "
                "random, drawn with the seed; fresh, nothing: new weights of these sizes"},
          method);
    visit(Field{"num_hidden_layers", "layers that stay; 0: all"}.at_least(0), num_hidden_layers);
    visit(Field{"hidden_size", "channels of the residual stream that stay; 0: all"}.at_least(0), hidden_size);
    visit(Field{"intermediate_size", "units of each feed-forward layer that stay; 0: all"}.at_least(0),
          intermediate_size);
    visit(
        Field{"num_attention_heads", "query heads that stay, of each key/value head equally many; 0: all"}.at_least(0),
        num_attention_heads);
    visit(Field{"num_key_value_heads", "key/value heads that stay, each with its query heads; 0: all"}.at_least(0),
          num_key_value_heads);
    visit(Field{"num_experts", "experts of a layer that stay; 0: all"}.at_least(0), num_experts);
    visit(Field{"moe_intermediate_size", "units of each expert that stay; 0: all"}.at_least(0), moe_intermediate_size);
    visit(Field{"mamba_num_heads", "heads of Mamba-2 layers that stay, of each group equally many; 0: all"}.at_least(0),
          mamba_num_heads);
    visit(Field{"layers",
                "which layers stay, from 0, whatever they matter, so that they may be of several kinds; empty: "
                "num_hidden_layers of them"}
              .at_least(0),
          layers);
    visit(Field{"multiple",
                "of which widths that change must be multiples: 16 is NVFP4's block, 32 MXFP4's, 64 that of NVFP4 in "
                "GGUF"}
              .at_least(1),
          multiple);
  }
};

}  // namespace qad
