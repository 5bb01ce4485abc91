#include "models/prune/kept_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "autograd/base/error.h"

namespace qad {
namespace {

// The `count` largest of each of `groups` equal parts.
Indices largest(std::span<const double> scores, std::int64_t count, std::int64_t groups = 1) {
  Indices kept;
  const std::int64_t size = std::ssize(scores) / groups, share = count / groups;
  for (std::int64_t group = 0; group < groups; ++group) {
    Indices order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), group * size);
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
      return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
    });
    order.resize(static_cast<std::size_t>(std::min(share, size)));
    std::ranges::sort(order);
    kept.insert(kept.end(), order.begin(), order.end());
  }
  return kept;
}

// Whether the scores of one kind, in all layers, say anything.
class Told {
 public:
  Told(std::string model, std::string what) : model_(std::move(model)), what_(std::move(what)) {}

  void look_at(std::span<const double> scores, const std::string& where) {
    if (scores.size() < 2) return;
    for (const double score : scores)
      if (!std::isfinite(score))
        throw Error({.who = fmt::format("{}: {}", model_, where),
                     .expected = fmt::format("finite activations that tell its {} apart", what_),
                     .got = "others",
                     .hint = "prune.method: random needs none"});
    any_ = true;
    differ_ |= std::ranges::any_of(scores, [&](double score) { return score != scores.front(); });
  }
  void check() const {
    if (any_ && !differ_)
      throw Error({.who = model_,
                   .expected = fmt::format("activations that tell its {} apart", what_),
                   .got = "the same from all of them",
                   .hint = "is it a trained model, and the text to calibrate on its own? prune.method: random asks for "
                           "none"});
  }

 private:
  std::string model_, what_;
  bool any_ = false, differ_ = false;
};

template <class ScoresOf>
void check_told(const Importance& importance, const std::string& model, const std::string& what, ScoresOf scores_of) {
  Told told(model, what);
  for (std::size_t i = 0; i < importance.blocks.size(); ++i)
    told.look_at(scores_of(importance.blocks[i]), fmt::format("layer {}", i));
  told.check();
}

void check_all(const ModelConfig& config, const ModelConfig& target, const Importance& importance,
               const std::string& model, bool layers) {
  if (target.hidden_size < config.hidden_size) {
    Told told(model, "hidden channels");
    told.look_at(importance.hidden, "norms");
    told.check();
  }
  if (layers && target.num_hidden_layers < config.num_hidden_layers) {
    Told told(model, "layers");
    told.look_at(layer_scores(importance), "layers");
    told.check();
  }
  const auto check = [&](bool cut, const char* what, auto scores_of) {
    if (cut) check_told(importance, model, what, scores_of);
  };
  check(target.intermediate_size < config.intermediate_size, "feed-forward units",
        [](const BlockImportance& block) { return block.units; });
  check(target.num_attention_heads < config.num_attention_heads, "heads",
        [](const BlockImportance& block) { return block.heads; });
  if (config.experts && target.experts) {
    check(target.experts->num_experts < config.experts->num_experts, "experts",
          [](const BlockImportance& block) { return block.experts; });
    check(target.experts->moe_intermediate_size < config.experts->moe_intermediate_size, "units of experts",
          [](const BlockImportance& block) {
            Scores all;
            for (const Scores& one : block.expert_units) all.insert(all.end(), one.begin(), one.end());
            return all;
          });
  }
  check(config.mamba && target.mamba && target.mamba->num_heads < config.mamba->num_heads, "Mamba heads",
        [](const BlockImportance& block) { return block.mamba_heads; });
}

// Heads of attention in one layer.
struct Heads {
  std::int64_t all, key_value;
};

Indices heads_of(const Indices& key_value_heads, Heads has, Heads wish, const Scores& heads) {
  const std::int64_t group = has.all / has.key_value, kept_group = wish.all / wish.key_value;
  Indices kept;
  for (const std::int64_t one : key_value_heads) {
    const auto of_group =
        std::span(heads).subspan(static_cast<std::size_t>(one * group), static_cast<std::size_t>(group));
    for (const std::int64_t head : largest(of_group, kept_group)) kept.push_back(one * group + head);
  }
  return kept;
}

Indices key_value_heads_of(Heads has, Heads wish, const Scores& heads) {
  Scores groups(static_cast<std::size_t>(has.key_value));
  const std::size_t group = heads.size() / groups.size();
  for (std::size_t head = 0; head < heads.size(); ++head) groups[head / group] += heads[head] * heads[head];
  return largest(groups, wish.key_value);
}

}  // namespace

Scores layer_scores(const Importance& importance) {
  Scores scores;
  for (const BlockImportance& block : importance.blocks) scores.push_back(block.block);
  return scores;
}

Kept choose_kept(const ModelConfig& config, const ModelConfig& target, const Importance& importance,
                 const std::string& model, const Indices& layers) {
  Kept kept;
  kept.layers = layers;
  check_all(config, target, importance, model, layers.empty());
  if (layers.empty()) kept.layers = largest(layer_scores(importance), target.num_hidden_layers);
  kept.hidden = largest(importance.hidden, target.hidden_size);
  for (const BlockImportance& block : importance.blocks) {
    const BlockConfig has = config.block(std::ssize(kept.blocks));
    const BlockConfig wish =
        config.blocks.empty() ? BlockConfig{target.num_key_value_heads, target.intermediate_size} : has;
    KeptInBlock& one = kept.blocks.emplace_back();
    if (std::ranges::count(kept.layers, std::ssize(kept.blocks) - 1) == 0) continue;
    one.units = largest(block.units, wish.intermediate_size);
    if (!block.heads.empty()) {
      const Heads of{config.num_attention_heads, has.num_key_value_heads};
      const Heads cut{target.num_attention_heads, wish.num_key_value_heads};
      one.key_value_heads = key_value_heads_of(of, cut, block.heads);
      one.heads = heads_of(one.key_value_heads, of, cut, block.heads);
    }
    if (!block.experts.empty()) {
      const ExpertsConfig& experts = *target.experts;
      one.experts = largest(block.experts, experts.num_experts, experts.n_group);
      for (const Scores& units : block.expert_units)
        one.expert_units.push_back(largest(units, experts.moe_intermediate_size));
      one.shared_units = largest(block.shared_units, experts.shared_width());
    }
    if (!block.mamba_heads.empty())
      one.mamba_heads = largest(block.mamba_heads, target.mamba->num_heads, target.mamba->n_groups);
  }
  return kept;
}

}  // namespace qad
