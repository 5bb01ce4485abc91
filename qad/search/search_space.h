// What a search has to choose: groups of linear layers that must have one format, what each may be in and what that
// takes, from sizes and a recipe alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/families/linear_shapes.h"
#include "qad/quant/policy.h"
#include "qad/search/search_config.h"

namespace qad {

struct SearchOption {
  std::size_t candidate = 0;  ///< kDense: none of them fits the layers
  std::int64_t bits = 0;      ///< codes and scales, tensor scales of weights and inputs too
};
inline constexpr std::size_t kDense = static_cast<std::size_t>(-1);

/// Layers that read one input; of experts, all those of a block, since engines run them as one.
struct SearchGroup {
  std::string name;                 ///< model.layers.0.self_attn.qkv_proj, model.layers.0.mlp.experts.*
  std::vector<std::string> layers;  ///< as rules name them
  std::vector<std::string> inputs;  ///< its linear groups
  std::int64_t weights = 0;         ///< as many as the budget counts
  std::vector<SearchOption> options;
};

struct SearchSpace {
  std::vector<SearchGroup> groups;  ///< in the order of the model
  std::int64_t weights = 0;         ///< of all blocks, as many as the budget counts
  std::int64_t kept_bits = 0;       ///< of layers in blocks that the recipe's rules decide

  [[nodiscard]] double effective_bits(std::int64_t bits) const {
    return static_cast<double>(bits) / static_cast<double>(weights);
  }
  /// The most bits that a budget allows, those of kept layers too.
  [[nodiscard]] std::int64_t budget(double effective_bits) const;
  /// The smallest budget.
  [[nodiscard]] std::int64_t least_bits() const;
  /// Of a choice of options, kept layers too.
  [[nodiscard]] std::int64_t bits_of(const std::vector<std::size_t>& choice) const;
};

/// `kept`: its rules decide the layers that they match; the head is searched in no case.
[[nodiscard]] SearchSpace search_space(std::span<const LinearShape> layers, const QuantizeConfig& kept,
                                       const SearchConfig& search);

/// "nvfp4", or "nvfp4 weights alone"; none for kDense.
[[nodiscard]] std::string candidate_name(const SearchConfig& search, std::size_t candidate);

/// `kept` with rules for a choice of options before its own.
[[nodiscard]] QuantizeConfig with_choice(const QuantizeConfig& kept, const SearchConfig& search,
                                         const SearchSpace& space, const std::vector<std::size_t>& choice);
/// The choice of this candidate wherever it fits, of its first option elsewhere.
[[nodiscard]] std::vector<std::size_t> all_in(const SearchSpace& space, std::size_t candidate);

}  // namespace qad
