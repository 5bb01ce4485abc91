#include "qad/quant/attach.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/ranks/communicator.h"
#include "models/finite_values.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/quant/layer_refusals.h"
#include "qad/quant/policy.h"

namespace qad {
namespace {

constexpr double kDenseBits = 16;  // BF16

double bits_of(const LinearQuantizers& linear) {
  return linear.weights ? linear.weights->format().bits_per_weight(linear.weight->value().cols()) : kDenseBits;
}

// What exports keep in FP32 is read as it is.
bool kept_in_bf16(const Parameter& parameter) { return kept_type(parameter.role, DType::bf16) == DType::bf16; }

}  // namespace

QuantizerSet attach_quantizers(LanguageModel& model, const QuantizeConfig& config, CalibrationKind algorithm) {
  const Policy policy(config, algorithm);
  const std::vector<LinearShape> shapes = linear_shapes(model);
  throw_if_any(quantize_refusals(shapes, config), "quantize.rules", ExitCode::usage);
  throw_if_any(cache_refusals(model.config(), config), "quantize.kv_cache", ExitCode::usage);
  QuantizerSet set;
  set.shares_groups_ = config.share_groups;
  const TransformSlot unquantized =
      config.unquantized == UnquantizedType::bf16 ? std::make_shared<Bf16Rounding>() : nullptr;
  for (const ParameterPointer& parameter : model.parameters())
    parameter->slot = kept_in_bf16(*parameter) ? unquantized : nullptr;
  auto shape = shapes.begin();  // in the order of the groups
  for (LinearGroup* group : model.linear_groups()) {
    // What is shared is the same for all of them, as was checked.
    const LayerOptions of_group = policy.options(*shape);
    std::shared_ptr<ActivationQuantizer> inputs;
    if (of_group.formats.inputs) {
      inputs = set.make_activation(group->name + ".input", of_group);
      group->input_slot = inputs;
    }
    std::map<std::string, std::shared_ptr<TensorScale>> scales;
    for (Linear& member : group->members) {
      QAD_ASSERT(shape->name == member.name);
      const LayerOptions options = policy.options(*shape++);
      std::shared_ptr<WeightQuantizer> weights;
      if (options.formats.weights) {
        const std::string& fused = member.fused.empty() ? group->name : member.fused;
        const std::string& shared = config.share_groups ? fused : member.name;
        std::shared_ptr<TensorScale>& scale = scales[shared];
        if (scale == nullptr)
          scale = set.make_scale(shared + ".weight", *options.formats.weights, options.tensor_scale);
        scale->add_weight(member.weight);
        weights = std::make_shared<WeightQuantizer>(member.weight->name, scale, options.ste);
        if (options.scales) weights->set_scales(*options.scales, member.weight->value().shape());
        set.add(weights);
        member.weight->slot = weights;
      }
      set.linears_.push_back({member.name, group->name, member.weight, weights, inputs, options.algorithm});
    }
  }
  if (policy.cache().formats.inputs == nullptr) return set;
  for (SelfAttention* attention : model.attention_layers()) {
    // Rounded to a power of two they are exact in BF16, in which compressed-tensors keeps them.
    const auto make = [&](const char* operand) {
      return set.make_activation(attention->name + operand, policy.cache());
    };
    set.caches_.push_back({attention->name, make(".keys"), make(".values")});
    attention->key_slot = set.caches_.back().keys;
    attention->value_slot = set.caches_.back().values;
  }
  return set;
}

void check_unquantized(LanguageModel& model, const QuantizeConfig& config) {
  if (config.unquantized != UnquantizedType::bf16) return;
  for (const ParameterPointer& parameter : model.parameters())
    if (kept_in_bf16(*parameter) && std::dynamic_pointer_cast<const WeightQuantizer>(parameter->slot) == nullptr)
      check_fits_bf16(parameter->name, parameter->value());
}

std::shared_ptr<TensorScale> QuantizerSet::make_scale(std::string name, const BlockFormat& format,
                                                      const TensorScaleConfig& config) {
  scales_.push_back(std::make_shared<TensorScale>(std::move(name), format, config.round, config.from, config.headroom));
  return scales_.back();
}

void QuantizerSet::add(std::shared_ptr<Quantizer> quantizer) { quantizers_.push_back(std::move(quantizer)); }

std::shared_ptr<ActivationQuantizer> QuantizerSet::make_activation(const std::string& name,
                                                                   const LayerOptions& options) {
  auto quantizer = std::make_shared<ActivationQuantizer>(
      name, make_scale(name, *options.formats.inputs, options.tensor_scale), options.input_ste);
  add(quantizer);
  return quantizer;
}

QuantizerSet QuantizerSet::only(const std::function<bool(const Quantizer&)>& wanted) const {
  QuantizerSet part;
  part.shares_groups_ = shares_groups_;
  std::set<const TensorScale*> kept;
  for (const auto& quantizer : quantizers_) {
    if (!wanted(*quantizer)) continue;
    part.quantizers_.push_back(quantizer);
    kept.insert(&quantizer->scale());
  }
  for (const auto& scale : scales_)
    if (kept.contains(scale.get())) part.scales_.push_back(scale);
  for (LinearQuantizers linear : linears_) {
    if (linear.weights && !wanted(*linear.weights)) linear.weights = nullptr;
    if (linear.inputs && !wanted(*linear.inputs)) linear.inputs = nullptr;
    if (linear.weights || linear.inputs) part.linears_.push_back(std::move(linear));
  }
  for (const CacheQuantizers& cache : caches_)
    if (wanted(*cache.keys) && wanted(*cache.values)) part.caches_.push_back(cache);
  return part;
}

ParameterList QuantizerSet::parameters() const {
  ParameterList all;
  for (const auto& quantizer : quantizers_)
    for (const ParameterPointer& parameter : quantizer->parameters())
      if (std::ranges::find(all, parameter) == all.end()) all.push_back(parameter);
  return all;
}

ParameterList trained_parameters(LanguageModel& model, const QuantizerSet& quantizers) {
  ParameterList all;
  for (ParameterPointer& parameter : model.parameters())
    if (parameter->trained()) all.push_back(std::move(parameter));
  for (ParameterPointer& parameter : quantizers.parameters()) all.push_back(std::move(parameter));
  return all;
}

void QuantizerSet::set_observing(bool observing) {
  for (const auto& quantizer : quantizers_) quantizer->set_observing(observing);
}

void QuantizerSet::observe() {
  for (const auto& scale : scales_) scale->start_observing();
  for (const LinearQuantizers& linear : linears_)
    if (linear.weights) linear.weights->set_was_read(false);
  restore_block_scales({}, "");
  set_observing(true);
}

void QuantizerSet::observe_further(std::span<const NamedValue> state, const std::string& file) {
  restore(state, file);
  for (const auto& scale : scales_) scale->start_observing(scale->amax());
  set_observing(true);
}

void QuantizerSet::share_observed() {
  if (ranks().is_alone()) return;
  std::vector<double> own;  // ranges, then which weights were read
  for (const auto& scale : scales_) own.push_back(scale->amax());
  for (const LinearQuantizers& linear : linears_) own.push_back(linear.weights && linear.weights->was_read() ? 1 : 0);
  const std::vector<double> all = gather_numbers(own, "ranges of inputs");
  for (std::size_t i = 0; i < all.size(); ++i) own[i % own.size()] = std::max(own[i % own.size()], all[i]);
  std::size_t next = 0;
  for (const auto& scale : scales_) scale->start_observing(static_cast<float>(own[next++]));
  for (const LinearQuantizers& linear : linears_)
    if (const bool was_read = own[next++] != 0; linear.weights) linear.weights->set_was_read(was_read);
}

void QuantizerSet::end_observing(std::optional<TensorScaleSource> all) {
  for (const auto& scale : scales_) scale->end_observing(all.value_or(scale->source()));
  set_observing(false);
}

namespace {

// Of one quantizer of weights, from ranks that have codes of different ages: an expert's are only made where a token
// came.
struct WeightCount {
  std::uint64_t version = 0;
  std::int64_t saturated = 0, values = 0;
};

void take_the_newest(std::vector<WeightCount>& counts, const std::string& what) {
  if (ranks().is_alone()) return;
  const std::size_t bytes = counts.size() * sizeof(WeightCount);
  std::vector<WeightCount> theirs(counts.size());
  for (const std::string& one : all_gather({reinterpret_cast<const char*>(counts.data()), bytes}, what)) {
    std::memcpy(theirs.data(), one.data(), bytes);
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (theirs[i].version > counts[i].version) counts[i] = theirs[i];
  }
}

}  // namespace

SaturationCounts QuantizerSet::take_saturation() {
  const std::string what = "counts of saturated values";
  std::array<std::int64_t, 2> inputs{};
  std::vector<WeightCount> weights;
  for (const auto& quantizer : quantizers_) {
    const SaturationCount count = quantizer->take_saturation();
    if (const auto* const weight = dynamic_cast<const WeightQuantizer*>(quantizer.get()); weight != nullptr) {
      weights.push_back({weight->codes_version(), count.saturated, count.values});
      continue;
    }
    inputs[0] += count.saturated;
    inputs[1] += count.values;
  }
  take_the_newest(weights, what);
  sum_over_ranks(inputs, what);
  SaturationCounts counts{.activations = inputs[0], .activation_values = inputs[1]};
  for (const WeightCount& count : weights) {
    counts.weights += count.saturated;
    counts.weight_values += count.values;
  }
  return counts;
}

std::vector<QuantizerSet::NamedValue> QuantizerSet::state() const {
  std::vector<NamedValue> values;
  for (const auto& scale : scales_) {
    values.emplace_back(scale->name() + ".amax", scale->amax());
    values.emplace_back(scale->name() + ".tensor_scale", scale->value());
    values.emplace_back(scale->name() + ".follows_data", scale->follows_data() ? 1 : 0);
  }
  return values;
}

QuantizerSet::NamedTensors QuantizerSet::state_tensors() const {
  NamedTensors tensors;
  for (const LinearQuantizers& linear : linears_)
    if (linear.weights && linear.weights->block_scales().defined())
      tensors[linear.weights->name() + kBlockScales] = linear.weights->block_scales();
  return tensors;
}

void QuantizerSet::restore_block_scales(NamedTensors tensors, const std::string& file) {
  constexpr const char* kHint = "is it of another recipe?";
  for (const LinearQuantizers& linear : linears_) {
    if (!linear.weights) continue;
    const Tensor found = std::exchange(tensors[linear.weights->name() + kBlockScales], {});
    const BlockFormat& format = linear.weights->format();
    const Tensor& weight = linear.weight->value();
    if (found.defined()) {
      const Shape shape{weight.rows(), format.blocks_per_row(weight.cols())};
      if (format.scale == nullptr || found.shape() != shape || found.dtype() != format.scale_dtype())
        throw Error({.who = file + ": " + linear.weights->name() + kBlockScales,
                     .expected = "scales of shape " + shape.text(),
                     .got = found.shape().text(),
                     .hint = kHint});
    }
    linear.weights->set_block_scales(found);
  }
  for (const auto& [name, tensor] : tensors)
    if (tensor.defined())
      throw Error({.who = file, .got = fmt::format("it has {} that the recipe does not ask for", name), .hint = kHint});
}

void QuantizerSet::restore(std::span<const NamedValue> state, const std::string& file, const NamedTensors& tensors) {
  std::map<std::string, double> values(state.begin(), state.end());
  const auto take = [&](const std::string& name) {
    const auto found = values.find(name);
    if (found == values.end())
      throw Error({.who = file,
                   .expected = fmt::format("a scale named {}", name),
                   .got = "none",
                   .hint = "is it of another recipe?"});
    const double value = found->second;
    values.erase(found);
    return static_cast<float>(value);
  };
  for (const auto& scale : scales_) {
    const float amax = take(scale->name() + ".amax"), value = take(scale->name() + ".tensor_scale");
    const bool follows = take(scale->name() + ".follows_data") != 0;
    scale->restore(amax, value, follows ? TensorScaleSource::data : TensorScaleSource::calibration);
  }
  if (!values.empty())
    throw Error({.who = file,
                 .got = fmt::format("it has a scale named {} that the recipe does not ask for", values.begin()->first),
                 .hint = "is it of another recipe?"});
  restore_block_scales(tensors, file);
  set_observing(false);
}

std::vector<QuantizerTableRow> quantizer_table(const QuantizerSet& quantizers) {
  std::vector<QuantizerTableRow> rows;
  for (const LinearQuantizers& linear : quantizers.linears()) {
    const QuantizerTableRow row{pattern_of(linear.layer),
                                1,
                                linear.weight->value().shape(),
                                std::string(name_of(linear.weights ? &linear.weights->format() : nullptr)),
                                std::string(name_of(linear.inputs ? &linear.inputs->format() : nullptr)),
                                bits_of(linear)};
    const auto same = std::ranges::find_if(rows, [&](const QuantizerTableRow& other) {
      return other.layers == row.layers && other.shape == row.shape && other.weights == row.weights &&
             other.inputs == row.inputs;
    });
    if (same == rows.end()) rows.push_back(row);
    else ++same->count;
  }
  if (!quantizers.caches().empty()) {
    const CacheQuantizers& cache = quantizers.caches().front();
    rows.push_back({pattern_of(cache.attention) + " keys, values",
                    static_cast<std::int64_t>(quantizers.caches().size()),
                    {},
                    "",
                    std::string(name_of(&cache.keys->format())),
                    std::numeric_limits<double>::quiet_NaN()});
  }
  return rows;
}

double bits_per_weight(LanguageModel& model, const QuantizerSet& quantizers) {
  double values = 0, bits = 0;
  for (const ParameterPointer& parameter : model.parameters()) {
    values += static_cast<double>(parameter->value().size());
    bits += kDenseBits * static_cast<double>(parameter->value().size());
  }
  for (const LinearQuantizers& linear : quantizers.linears())
    if (linear.weights) bits += (bits_of(linear) - kDenseBits) * static_cast<double>(linear.weight->value().size());
  return values == 0 ? 0 : bits / values;
}

}  // namespace qad
