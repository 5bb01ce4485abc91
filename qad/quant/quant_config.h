// The recipe's `quantize` section: which operands of which layers get which number format, and how it is applied.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "models/module_kind.h"
#include "qad/formats/block_format.h"

namespace qad {

enum class TensorScaleSource : std::uint8_t {
  calibration,  ///< found once, then frozen; block scales follow the data
  data,         ///< from the operand's own values in every forward
};
inline constexpr auto enum_names(TensorScaleSource) {
  return std::to_array<EnumName<TensorScaleSource>>(
      {{TensorScaleSource::calibration, "calibration"}, {TensorScaleSource::data, "data"}});
}

struct TensorScaleConfig {
  TensorScaleRound round = TensorScaleRound::pow2;
  TensorScaleSource from = TensorScaleSource::calibration;
  double headroom = 1;
  friend bool operator==(const TensorScaleConfig&, const TensorScaleConfig&) = default;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"round", "pow2: up to a power of two, the same in every export layout; none: amax/2688 as it is"},
          round);
    visit(Field{"from", "calibration: frozen; data: anew in every forward"}, from);
    visit(Field{"headroom",
                "of inputs, keys and values whose scale is from calibration: it has room for values so many times as "
                "large as the largest that calibration saw"}
              .between(1, 1024),
          headroom);
  }
};

/// How gradients pass the rounding.
enum class StraightThrough : std::uint8_t {
  identity,       ///< unchanged
  clip,           ///< zero where the value was beyond what its tensor scale can hold, or a learned block scale
  through_scale,  ///< also into the block scale and so into the amax that it follows (qad/formats/scale_gradient.h)
};
inline constexpr auto enum_names(StraightThrough) {
  return std::to_array<EnumName<StraightThrough>>({{StraightThrough::identity, "identity"},
                                                   {StraightThrough::clip, "clip"},
                                                   {StraightThrough::through_scale, "through_scale"}});
}

/// How scales are found. A row each in qad/calib/algorithms.cpp.
enum class CalibrationKind : std::uint8_t {
  max,            ///< block scales follow the largest magnitude
  mse,            ///< the least squared error of the weights
  local_hessian,  ///< the least error of the layer's outputs, each block as if it alone were rounded
  gptq,           ///< each column takes over what the rounding of those before it did to the outputs
  awq,            ///< large inputs are made smaller and their weights larger, by the factors whose outputs are closest
  smoothquant,    ///< the same by factors that follow from both magnitudes
};
inline constexpr auto enum_names(CalibrationKind) {
  return std::to_array<EnumName<CalibrationKind>>({{CalibrationKind::max, "max"},
                                                   {CalibrationKind::mse, "mse"},
                                                   {CalibrationKind::local_hessian, "local_hessian"},
                                                   {CalibrationKind::gptq, "gptq"},
                                                   {CalibrationKind::awq, "awq"},
                                                   {CalibrationKind::smoothquant, "smoothquant"}});
}

/// What the block scales of a weight do while training moves it.
enum class BlockScales : std::uint8_t {
  amax,      ///< follow the largest magnitude of their block
  found,     ///< stay as calibration found them
  lsq,       ///< are trained (qad/quant/learned_scales.h), one for codes and values
  dual_lsq,  ///< are trained, codes by one and values by another
};
inline constexpr auto enum_names(BlockScales) {
  return std::to_array<EnumName<BlockScales>>({{BlockScales::amax, "amax"},
                                               {BlockScales::found, "found"},
                                               {BlockScales::lsq, "lsq"},
                                               {BlockScales::dual_lsq, "dual_lsq"}});
}

/// What a rule says of the tensor scale otherwise than the recipe.
struct RuleTensorScale {
  std::optional<TensorScaleRound> round{};
  std::optional<TensorScaleSource> from{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"round", "as quantize.tensor_scale.round, which counts where this says nothing"}, round);
    visit(Field{"from", "as quantize.tensor_scale.from, which counts where this says nothing"}, from);
  }
};

/// Decides for every linear layer that it matches by module name, kind and place; of several matching rules the last
/// one counts, whole. Of what it does not say, the recipe's own keys count; qad/quant/policy.h puts both together.
struct QuantizeRule {
  std::string layers = "*";
  std::string weights = "none";
  std::string inputs = "none";
  std::optional<RuleTensorScale> tensor_scale{};
  std::optional<StraightThrough> ste{}, input_ste{};
  std::optional<CalibrationKind> algorithm{};
  std::optional<BlockScales> scales{};
  std::optional<ModuleKind> kind{}, before{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"layers", "module names; * stands for any characters, ? for one"}.required(), layers);
    visit(Field{"kind", "only layers that are part of this, however a family names them"}, kind);
    visit(Field{"before",
                "only layers of a block whose next block has this kind; of the last block the next one is the head"},
          before);
    visit(Field{"weights", "number format of the weights (nvfp4, mxfp4, fp8, int8, …), or none"}, weights);
    visit(Field{"inputs", "number format of the layer's inputs, or none"}, inputs);
    visit(Field{"tensor_scale", "the scale above the block scales, in these layers"}, tensor_scale);
    visit(Field{"ste", "as quantize.ste, which counts where this says nothing"}, ste);
    visit(Field{"input_ste", "as quantize.input_ste, which counts where this says nothing"}, input_ste);
    visit(Field{"algorithm", "as calibrate.algorithm, which counts where this says nothing"}, algorithm);
    visit(Field{"scales", "as quantize.scales, which counts where this says nothing"}, scales);
  }
};

/// In which numbers the forward reads parameters that no rule quantizes.
enum class UnquantizedType : std::uint8_t {
  bf16,  ///< rounded, as the exported files hold them
  fp32,  ///< the masters as they are; only the files are rounded
};
inline constexpr auto enum_names(UnquantizedType) {
  return std::to_array<EnumName<UnquantizedType>>({{UnquantizedType::bf16, "bf16"}, {UnquantizedType::fp32, "fp32"}});
}

struct QuantizeConfig {
  std::vector<QuantizeRule> rules{};
  UnquantizedType unquantized = UnquantizedType::bf16;
  std::string kv_cache = "none";
  bool share_groups = true;
  TensorScaleConfig tensor_scale;
  StraightThrough ste = StraightThrough::identity;
  std::optional<StraightThrough> input_ste{};
  std::optional<BlockScales> scales{};

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"rules", "number formats by layer name, kind and place; the last rule that matches a layer decides"},
          rules);
    visit(
        Field{"unquantized",
              "how the forward reads what no rule quantizes (embedding, norms, biases, a kept head): bf16 as exported, "
              "or the fp32 masters"},
        unquantized);
    visit(Field{"kv_cache",
                "number format of keys and values (fp8, nvfp4, …), one tensor scale for each of a layer; or none"},
          kv_cache);
    visit(Field{"share_groups",
                "q/k/v and gate/up share one weight scale, as serving engines need; false for comparisons"},
          share_groups);
    visit(Field{"tensor_scale", "the FP32 scale above the block scales"}, tensor_scale);
    visit(
        Field{"ste",
              "straight-through gradient: identity; clip to zero what saturates; or through_scale, also into the amax "
              "that a block's scale follows"},
        ste);
    visit(Field{"input_ste", "of inputs, keys and values, where it is not as ste says"}, input_ste);
    visit(
        Field{"scales",
              "block scales of weights in training: amax, they follow the largest magnitude; found, they stay as they "
              "were found; lsq, they are trained from there on; dual_lsq, apart from those that codes are chosen by; "
              "default: found where the algorithm finds them, else amax"},
        scales);
  }
};

}  // namespace qad
