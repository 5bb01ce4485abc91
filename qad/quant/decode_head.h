// The head in another format while a model decodes: it is most of what a small model reads for a token.
#pragma once

#include <optional>

#include "autograd/base/fields.h"
#include "models/language_model.h"

namespace qad {

enum class HeadFormat : std::uint8_t {
  bf16,
  fp8,    ///< E4M3 weights under one scale; their inputs as they are
  nvfp4,  ///< weights and inputs, multiplied as codes
};
inline constexpr auto enum_names(HeadFormat) {
  return std::to_array<EnumName<HeadFormat>>(
      {{HeadFormat::bf16, "bf16"}, {HeadFormat::fp8, "fp8"}, {HeadFormat::nvfp4, "nvfp4"}});
}

/// The recipe's `decode` section.
struct DecodeConfig {
  std::optional<HeadFormat> head;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"head", "format of the head's weights: bf16, fp8, or nvfp4 for weights and inputs; unset: as exported"},
          head);
  }
};

/// While it lives, the head of `model` multiplies in this format; unset: nothing changes. Weights are rounded from what
/// the forward reads. No text is needed for the inputs' scale: what an RMS norm gives is at most √C·max|its weights|,
/// and E4M3 block scales have room for that. Throws Error (usage) for a hidden size that NVFP4 has no blocks for.
class DecodeHead {
 public:
  DecodeHead(LanguageModel& model, std::optional<HeadFormat> format);
  ~DecodeHead();
  DecodeHead(const DecodeHead&) = delete;
  DecodeHead& operator=(const DecodeHead&) = delete;

 private:
  LinearGroup& head_;
  ParameterPointer weight_;
  TransformSlot input_slot_;
};

}  // namespace qad
