// What layers of a model can't be, gathered from all of them and told by name patterns: a mistake in a rule meets every
// layer of a kind, and one line tells of them all.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "models/families/linear_shapes.h"
#include "qad/quant/quant_config.h"

namespace qad {

/// Patterns as rules have them that match all of `some` and no other of `all`: `*.down_proj` where that is every such
/// layer, `model.layers.*.mlp.down_proj`, or the names themselves.
[[nodiscard]] std::vector<std::string> patterns_of(const std::vector<std::string>& some,
                                                   std::span<const std::string> all);

struct Refusal {
  Problem problem;  ///< who: `*.down_proj (8 layers)`
  int rule = -1;    ///< the index in quantize.rules of the one that asked for it; -1: no rule
};

class LayerRefusals {
 public:
  /// `all`: the names of all linear layers of the model.
  explicit LayerRefusals(std::vector<std::string> all) : all_(std::move(all)) {}

  /// Layers with the same words are told as one. With `exclude` the hint begins with the rules that keep them out.
  void add(const std::string& layer, const Problem& problem, int rule = -1, bool exclude = false);
  [[nodiscard]] std::vector<Refusal> told() const;

 private:
  struct Entry {
    Problem problem;
    int rule;
    bool exclude;
    std::vector<std::string> layers;
  };
  std::vector<std::string> all_;
  std::vector<Entry> entries_;
};

/// Throws one Error with a line for each, if there are any. `what` names what can't be.
void throw_if_any(const std::vector<Refusal>& refusals, const std::string& what, ExitCode code = ExitCode::failed);

/// Why the rules do not fit a model of these layers: an inner dimension that is no multiple of a format's block, a
/// fused group that is quantized in part or whose members want their shared scale otherwise, a tied head that would be
/// quantized. Empty: attach_quantizers will take them.
[[nodiscard]] std::vector<Refusal> quantize_refusals(std::span<const LinearShape> layers, const QuantizeConfig& config);

/// Why keys and values do not fit the format of the cache: a block would go over heads, which engines keep apart.
[[nodiscard]] std::vector<Refusal> cache_refusals(const ModelConfig& model, const QuantizeConfig& config);

}  // namespace qad
