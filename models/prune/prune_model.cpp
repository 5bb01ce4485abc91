#include "models/prune/prune_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <map>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "models/families/registry.h"
#include "models/import/model_folder.h"
#include "models/prune/anatomy.h"
#include "models/prune/pruned_sizes.h"

namespace qad {
namespace {

// What stays of a parameter; none: all of it.
struct Cut {
  Indices rows{}, cols{};
  Scores factors{};  // of each column that stays, of a norm
  double offset = 0;
};

Indices widened(const Indices& units, std::int64_t width, std::int64_t first = 0) {
  Indices channels;
  for (const std::int64_t unit : units)
    for (std::int64_t k = 0; k < width; ++k) channels.push_back(first + unit * width + k);
  return channels;
}

void append(Indices& to, const Indices& more) { to.insert(to.end(), more.begin(), more.end()); }

Indices range(std::int64_t begin, std::int64_t end) {
  Indices all(static_cast<std::size_t>(end - begin));
  std::iota(all.begin(), all.end(), begin);
  return all;
}

// Rows are the outermost axis.
Tensor cut_out(const Tensor& value, const Cut& cut, const Shape& shape) {
  const Tensor x = as_f32(value);
  const std::int64_t all_rows = x.shape()[0], all_cols = x.size() / all_rows;
  const Indices rows = cut.rows.empty() ? range(0, all_rows) : cut.rows;
  const Indices cols = cut.cols.empty() ? range(0, all_cols) : cut.cols;
  const std::int64_t width = std::ssize(cols);
  QAD_ASSERT(std::ssize(rows) * width == shape.size() && std::ssize(rows) == shape[0]);
  Tensor result(shape);
  parallel_for(std::ssize(rows), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      for (std::int64_t k = 0; k < width; ++k)
        result.data()[r * width + k] =
            x.data()[rows[static_cast<std::size_t>(r)] * all_cols + cols[static_cast<std::size_t>(k)]];
  });
  for (std::size_t i = 0; i < cut.factors.size(); ++i) {
    float& one = result.data()[i];
    one = static_cast<float>((static_cast<double>(one) + cut.offset) * cut.factors[i] - cut.offset);
  }
  return result;
}

// What the root mean square of each of `groups` parts becomes over the channels that stay, one for each of these.
Scores norm_factors(const Scores& squares, const Indices& kept, std::int64_t groups = 1) {
  const std::int64_t size = std::ssize(squares) / groups, kept_size = std::ssize(kept) / groups;
  Scores factors;
  if (kept_size == size) return factors;
  for (std::int64_t group = 0; group < groups; ++group) {
    double all = 0, stay = 0;
    for (std::int64_t k = group * size; k < (group + 1) * size; ++k) all += squares[static_cast<std::size_t>(k)];
    for (std::int64_t i = group * kept_size; i < (group + 1) * kept_size; ++i)
      stay += squares[static_cast<std::size_t>(kept[static_cast<std::size_t>(i)])];
    const double factor =
        all > 0 && stay > 0 ? std::sqrt(stay / static_cast<double>(kept_size) * static_cast<double>(size) / all) : 1.0;
    factors.insert(factors.end(), static_cast<std::size_t>(kept_size), factor);
  }
  return factors;
}

// Where every parameter is cut.
class Cuts {
 public:
  Cuts(LanguageModel& model, const Kept& kept, const Importance& importance)
      : config_(model.config()), kept_(kept), offset_(model.final_norm_offset()) {
    const std::vector<BlockAnatomy> blocks = anatomy_of(model);
    for (const std::int64_t layer : kept.layers) {
      const auto i = static_cast<std::size_t>(layer);
      add(blocks[i], kept.blocks[i], importance.blocks[i]);
    }
    const ParameterList all = model.parameters();
    cuts_[all.front()->name].cols = kept.hidden;  // the embedding, with it a tied head
    const Parameter& head = *model.head().members.front().weight;
    cuts_[head.name].cols = kept.hidden;
    add_norm(model.final_norm().name, importance.norm_squares);
  }

  [[nodiscard]] const Cut& of(const std::string& name) const {
    static const Cut whole;
    const auto found = cuts_.find(name);
    return found != cuts_.end() ? found->second : whole;
  }

 private:
  void add_norm(const std::string& name, const Scores& squares) {
    cuts_[name] = {kept_.hidden, {}, norm_factors(squares, kept_.hidden), offset_};
  }
  // Rows go, of the bias too.
  void add_rows(const Linear& linear, const Indices& rows) {
    cuts_[linear.weight->name].rows = rows;
    if (linear.bias != nullptr) cuts_[linear.bias->name].rows = rows;
  }
  void add_linear(const Linear& linear, const Indices& rows, const Indices& cols) {
    add_rows(linear, rows);
    cuts_[linear.weight->name].cols = cols;
  }
  void add_linears(const LinearGroup& group, const Indices& rows, const Indices& cols) {
    for (const Linear& member : group.members) add_linear(member, rows, cols);
  }

  void add(const BlockAnatomy& block, const KeptInBlock& kept, const BlockImportance& importance) {
    for (std::size_t i = 0; i < block.norms.size(); ++i)
      add_norm(block.norms[i].norm->name, importance.norm_squares[i]);
    if (block.attention != nullptr) add(*block.attention, kept);
    if (block.feed_forward) add(*block.feed_forward, kept.units);
    if (block.experts) add(*block.experts, kept);
    if (block.mamba) add(*block.mamba, kept.mamba_heads, importance.mamba_norm_squares);
  }

  void add(const SelfAttention& attention, const KeptInBlock& kept) {
    const std::int64_t width = attention.config.head_dim;
    const Indices pairs = widened(kept.key_value_heads, width);
    const std::vector<Linear>& qkv = attention.qkv.members;
    add_linear(qkv[0], widened(kept.heads, attention.gated ? 2 * width : width), kept_.hidden);
    for (const Linear& one : {qkv[1], qkv[2]}) add_linear(one, pairs, kept_.hidden);
    add_linears(attention.output, kept_.hidden, widened(kept.heads, width));
  }

  void add(const FeedForwardAnatomy& part, const Indices& units) {
    add_linears(*part.inputs, units, kept_.hidden);
    add_linears(*part.down, kept_.hidden, units);
  }

  void add(const ExpertsAnatomy& part, const KeptInBlock& kept) {
    cuts_[part.router->name] = {kept.experts, kept_.hidden};
    if (part.shown->choice_bias != nullptr) cuts_[part.shown->choice_bias->name].rows = kept.experts;
    if (part.latent_in != nullptr) add_linears(*part.latent_in, {}, kept_.hidden);
    if (part.latent_out != nullptr) add_linears(*part.latent_out, kept_.hidden, {});
    const Indices outside = part.latent_in != nullptr ? Indices() : kept_.hidden;
    const std::vector<Linear>& inputs = part.routed.inputs->members;
    const std::vector<Linear>& down = part.routed.down->members;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      add_linear(inputs[i], kept.expert_units[i * down.size() / inputs.size()], outside);
    for (std::size_t e = 0; e < down.size(); ++e) add_linear(down[e], outside, kept.expert_units[e]);
    if (part.shared) add(*part.shared, kept.shared_units);
    if (part.shared_gate != nullptr) cuts_[part.shared_gate->name].cols = kept_.hidden;
  }

  void add(const MambaAnatomy& part, const Indices& heads, const Scores& squares) {
    const MambaConfig& sizes = *config_.mamba;
    const std::int64_t inner = sizes.inner(), width = sizes.head_dim, channels = sizes.conv_width();
    const Indices kept = widened(heads, width);
    Indices in = kept;  // z | x, B, C | dt
    append(in, widened(heads, width, inner));
    append(in, range(2 * inner, inner + channels));
    append(in, widened(heads, 1, inner + channels));
    Indices convolved = kept;
    append(convolved, range(inner, channels));
    add_linears(*part.in, in, kept_.hidden);
    add_linears(*part.out, kept_.hidden, kept);
    cuts_[part.taps->name].rows = convolved;
    if (part.tap_bias != nullptr) cuts_[part.tap_bias->name].rows = convolved;
    for (const ParameterPointer& one : part.by_head) cuts_[one->name].rows = heads;
    cuts_[part.norm->name] = {kept, {}, norm_factors(squares, kept, sizes.n_groups), 0};
  }

  const ModelConfig& config_;
  const Kept& kept_;
  double offset_;
  std::map<std::string, Cut> cuts_;
};

// The number right behind the prefix, and what comes after it.
struct Numbered {
  std::size_t number = 0;
  std::string rest;
};
std::optional<Numbered> numbered(const std::string& name, const std::string& prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  Numbered found;
  const auto [end, failure] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), found.number);
  QAD_ASSERT(failure == std::errc());
  found.rest = end;
  return found;
}

// The larger model's names of the smaller one's parameters: layers and experts are numbered anew.
class OldNames {
 public:
  OldNames(LanguageModel& model, const Kept& kept) : kept_(kept) {
    for (const BlockAnatomy& block : anatomy_of(model))
      experts_.push_back(block.experts ? block.experts->shown->name + ".experts." : "");
    const std::string& first = model.blocks().front().name();
    layers_ = first.substr(0, first.rfind('.') + 1);
  }

  [[nodiscard]] std::string of(const std::string& name) const {
    const auto layer = numbered(name, layers_);
    if (!layer) return name;
    const std::int64_t old_layer = kept_.layers[layer->number];
    const std::string moved = fmt::format("{}{}{}", layers_, old_layer, layer->rest);
    const auto index = static_cast<std::size_t>(old_layer);
    if (experts_[index].empty()) return moved;
    const auto expert = numbered(moved, experts_[index]);
    if (!expert) return moved;
    return fmt::format("{}{}{}", experts_[index], kept_.blocks[index].experts[expert->number], expert->rest);
  }

 private:
  const Kept& kept_;
  std::string layers_;  // model.layers.
  std::vector<std::string> experts_;
};

}  // namespace

std::unique_ptr<LanguageModel> cut_model(LanguageModel& model, const ModelConfig& target, const Kept& kept,
                                         const Importance& importance) {
  const Cuts cuts(model, kept, importance);
  const OldNames names(model, kept);
  std::map<std::string, ParameterPointer> by_name;
  for (const ParameterPointer& parameter : model.parameters()) by_name[parameter->name] = parameter;
  return make_model(target, [&](const ParameterSpec& spec) {
    const std::string name = names.of(spec.name);
    return make_parameter(spec.name, cut_out(by_name.at(name)->value(), cuts.of(name), spec.shape), true);
  });
}

std::unique_ptr<LanguageModel> prune_model(LanguageModel& model, const PruneConfig& prune,
                                           const std::vector<TokenBatch>& batches, std::uint64_t seed) {
  const ModelConfig target = pruned_config(model.config(), prune);
  if (prune.method == PruneMethod::fresh) return initialize_model(target, seed);
  Importance importance = importance_of(model, batches);
  if (prune.method == PruneMethod::random) importance = with_random_scores(std::move(importance), seed);
  log_info("how far layers turn what they read: {:.3g}", fmt::join(layer_scores(importance), ", "));
  const Kept kept = choose_kept(model.config(), target, importance, model.label, prune.layers);
  if (target.num_hidden_layers < model.config().num_hidden_layers)
    log_info("of {} layers stay {}", model.config().num_hidden_layers, fmt::join(kept.layers, ", "));
  return cut_model(model, target, kept, importance);
}

std::unique_ptr<LanguageModel> blank_model(const ModelConfig& config) {
  return make_model(
      config, [](const ParameterSpec& spec) { return make_parameter(spec.name, Tensor::zeros(spec.shape), true); });
}

}  // namespace qad
