#include "models/import/stored_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "autograd/base/warn_once.h"
#include "models/families/registry.h"
#include "models/finite_values.h"
#include "models/import/mxfp4_blocks.h"
#include "models/import/passengers.h"

namespace qad {
namespace {

constexpr auto kRoots = std::to_array<std::string_view>({"model.", "backbone."});  // before all names but the head's
constexpr const char* kHead = "lm_head.weight";

double double_at(std::span<const std::byte> bytes, std::int64_t index) {
  double value = 0;
  std::memcpy(&value, bytes.data() + static_cast<std::size_t>(index) * sizeof value, sizeof value);
  return value;
}

Tensor from_doubles(std::span<const std::byte> bytes, const Shape& shape) {
  const Tensor values(shape);
  parallel_for(values.size(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) values.data()[i] = static_cast<float>(double_at(bytes, i));
  });
  return values;
}

DType wanted_type(WeightType type, DType stored) {
  return type == WeightType::bf16 ? DType::bf16 : type == WeightType::f32 ? DType::f32 : stored;
}

// What names look like that something was wrapped around, and what to do about it.
std::string hint_of_prefix(std::string_view prefix) {
  constexpr std::array<std::array<std::string_view, 2>, 5> kHints = {
      {{"base_model.", "it was saved with an adapter around it: merge_and_unload() first"},
       {"_orig_mod.", "it was saved compiled: save the module below _orig_mod"},
       {"module.", "it was saved inside a wrapper of several devices: save its module"},
       {"language_model.", "it is part of a larger model: save its language model alone"},
       {"text_model.", "it is part of a larger model: save its language model alone"}}};
  for (const auto& [part, hint] : kHints)
    if (prefix.find(part) != std::string_view::npos) return std::string(hint);
  return "save it under transformers' own names";
}

}  // namespace

// The same name behind another prefix tells what happened to the folder.
void StoredWeights::missing(const std::string& name) const {
  const std::string who = files_.path().string(), expected = fmt::format("a tensor '{}'", name);
  std::string bare = name;
  for (const std::string_view root : kRoots)
    if (name.starts_with(root)) bare = name.substr(root.size());
  for (const std::string& other : files_.names())
    if (other.size() > bare.size() && other.ends_with("." + bare))
      throw Error({.who = who,
                   .expected = expected,
                   .got = fmt::format("'{}'", other),
                   .hint = hint_of_prefix(std::string_view(other).substr(0, other.size() - bare.size()))});
  const bool is_head = name == kHead;
  throw Error(
      {who, expected, "none",
       is_head ? "it has no head that predicts tokens, and config.json does not tie one to the embedding" : ""});
}

// The name itself, and those that others use for it.
std::vector<std::string> StoredWeights::names_of(const std::string& name) const {
  std::vector<std::string> names = {name};
  for (const auto& [ours, other] : family_of(config_.model_type, files_.path().string()).other_names)
    for (std::size_t i = 0, count = names.size(); i < count; ++i)
      if (const std::size_t at = names[i].find(ours); at != std::string::npos)
        names.push_back(std::string(names[i]).replace(at, ours.size(), other));
  for (std::size_t i = 0, count = names.size(); i < count; ++i)
    for (const std::string_view root : kRoots)
      if (names[i].starts_with(root)) names.push_back(names[i].substr(root.size()));
  return names;
}

std::optional<StoredWeights::Place> StoredWeights::stacked_place(const ParameterSpec& spec) const {
  if (!config_.experts) return std::nullopt;
  for (const std::string& name : names_of(spec.name))
    for (const StackedPlace& place : stacked_places(name, spec.shape, config_.experts->num_experts)) {
      if (files_.has(place.name)) return Place{place.name, place};
      if (const auto packed = mxfp4_name(files_, place.name)) return Place{*packed, place, true};
    }
  return std::nullopt;
}

// `loose`: extents of 1 may be there or not, as a short convolution's.
void StoredWeights::check_header(const std::string& stored, const Shape& expected, bool loose) const {
  const SafetensorsInfo& info = files_.info(stored);
  const std::string who = files_.path().string() + ": " + stored;
  const std::vector<std::int64_t> wanted(expected.extents().begin(), expected.extents().end());
  const auto without_ones = [](std::vector<std::int64_t> extents) {
    std::erase(extents, 1);
    return extents;
  };
  const std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
  if (shape != wanted && !(loose && without_ones(shape) == without_ones(wanted))) {
    const bool transposed = stored.find(".experts.") != std::string::npos && wanted.size() == 3 &&
                            shape == std::vector{wanted[0], wanted[2], wanted[1]};
    throw Error({.who = who,
                 .expected = "shape " + expected.text(),
                 .got = fmt::format("[{}]", fmt::join(info.shape, ", ")),
                 .hint = transposed ? "stacked experts are read as [experts, out, in]"
                                    : "does config.json belong to these weights?"});
  }
  if (info.dtype != "F64" && info.dtype != "F32" && info.dtype != "F16" && info.dtype != "BF16")
    throw Error(
        {who, "F64, F32, F16 or BF16", info.dtype, "packed models are read by eval and generate, not as a teacher"});
}

StoredWeights::Place StoredWeights::place_of(const ParameterSpec& spec) {
  if (spec.role == Role::embedding) embedding_ = spec.name;
  std::vector<Place> there;
  for (const std::string& one : names_of(spec.name)) {
    if (files_.has(one)) there.push_back({one, {}});
    if (const auto packed = mxfp4_name(files_, one)) there.push_back({*packed, {}, true});
  }
  if (auto stacked = stacked_place(spec)) there.push_back(std::move(*stacked));
  if (there.size() > 1)
    throw Error({.who = files_.path().string(),
                 .expected = fmt::format("one tensor for '{}'", spec.name),
                 .got = fmt::format("'{}' and '{}'", there[0].name, there[1].name),
                 .hint = "which one is meant? remove the other"});
  if (there.empty() && config_.tie_word_embeddings && spec.role == Role::embedding && files_.has(kHead))
    there = {{kHead, {}}};
  if (there.empty()) missing(spec.name);
  const Place& place = there.front();
  const Shape& shape = place.stacked ? place.stacked->shape : spec.shape;
  if (place.mxfp4) {
    check_mxfp4(files_, place.name, shape);
    for (const std::string_view half : {kMxfp4Blocks, kMxfp4Scales}) used_.insert(place.name + std::string(half));
  } else {
    check_header(place.name, shape, spec.role == Role::convolution || spec.role == Role::decay);
    used_.insert(place.name);
  }
  return place;
}

std::span<const std::byte> StoredWeights::bytes_of(const ParameterSpec& spec) {
  const Place place = place_of(spec);
  const std::span<const std::byte> all =
      files_.bytes(place.mxfp4 ? place.name + std::string(kMxfp4Blocks) : place.name);
  if (!place.stacked) return all;
  const std::size_t row = all.size() / static_cast<std::size_t>(place.stacked->shape.rows());
  return all.subspan(static_cast<std::size_t>(place.stacked->row()) * row,
                     static_cast<std::size_t>(spec.shape.rows()) * row);
}

// As the file has it; of one among stacked experts, its rows of theirs.
Tensor StoredWeights::stored_tensor(const Place& place, const ParameterSpec& spec) const {
  if (place.mxfp4) return mxfp4_rows(files_, place.name, place.stacked ? place.stacked->row() : 0, spec.shape);
  const Shape& shape = place.stacked ? place.stacked->shape : spec.shape;
  Tensor tensor = files_.info(place.name).dtype == "F64" ? from_doubles(files_.bytes(place.name), shape)
                                                         : files_.tensor(place.name);
  if (place.stacked)
    tensor = tensor.reshape({shape.rows(), shape.cols()})
                 .slice(place.stacked->row(), place.stacked->row() + spec.shape.rows());
  return tensor.shape() == spec.shape ? tensor : tensor.reshape(spec.shape);
}

Tensor StoredWeights::load(const ParameterSpec& spec, WeightType type) {
  const Place stored = place_of(spec);
  const bool doubles = !stored.mxfp4 && files_.info(stored.name).dtype == "F64";
  const Tensor tensor = stored_tensor(stored, spec);
  // Index of the weight's first value in the file's tensor.
  const std::int64_t first = stored.stacked ? stored.stacked->row() * spec.shape.cols() : 0;
  const DType wanted = wanted_type(type, tensor.dtype());
  const Tensor result = tensor.dtype() == wanted ? tensor : tensor.to(wanted);
  const std::int64_t place = first_not_finite(result);
  if (place == result.size()) return result;

  const std::string who = files_.path().string() + ": " + stored.name;
  const auto value = [&](const Tensor& of) { return of.to(DType::f32).data()[place]; };
  const double found =
      doubles ? double_at(files_.bytes(stored.name), first + place) : static_cast<double>(value(tensor));
  if (!std::isfinite(found))
    throw Error({.who = who,
                 .expected = "finite weights",
                 .got = fmt::format("an infinity or NaN at index {}", first + place),
                 .hint = "is the file damaged?"});
  const bool by_bf16 = wanted == DType::bf16 && std::abs(found) < 3.4028235e38;
  throw Error({.who = who,
               .expected = fmt::format("weights that {} holds", by_bf16 ? "BF16" : "FP32"),
               .got = fmt::format("{:.6g} at index {}", found, first + place),
               .hint = by_bf16 ? "teacher.weights: file keeps the file's type" : ""});
}

void StoredWeights::check_tied_head() {
  if (!config_.tie_word_embeddings || !files_.has(kHead)) return;
  used_.insert(kHead);
  const std::vector<std::string> names = names_of(embedding_);
  const auto stored = std::ranges::find_if(names, [&](const std::string& name) { return files_.has(name); });
  if (stored == names.end()) return;
  const std::string& embedding = *stored;
  const SafetensorsInfo &a = files_.info(embedding), &b = files_.info(kHead);
  const auto same_bytes = [&] {
    const auto x = files_.bytes(embedding), y = files_.bytes(kHead);
    return x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0;
  };
  if (a.dtype == b.dtype && a.shape == b.shape && same_bytes()) return;
  throw Error({.who = files_.path().string() + ": " + kHead,
               .expected = "the embedding's own values, as tie_word_embeddings is true",
               .got = "others",
               .hint = "readers differ: set tie_word_embeddings to false in config.json, or remove this tensor"});
}

void StoredWeights::tell_unused() const {
  constexpr std::size_t kNamed = 3;
  std::vector<std::string> unused, passengers;
  for (const std::string& name : files_.names()) {
    if (used_.contains(name) || name.ends_with("rotary_emb.inv_freq")) continue;  // the latter of old checkpoints
    (is_passenger(name, config_) ? passengers : unused).push_back(name);
  }
  const std::string folder = files_.path().string();
  const auto lost =
      std::ranges::find_if(passengers, [](const std::string& name) { return !is_of_several_tokens(name); });
  if (family_of(config_.model_type, folder).says_each_layer && lost != passengers.end())
    throw Error({.who = folder + ": " + *lost,
                 .expected = fmt::format("no layer behind the {} of config.json's pattern", config_.num_hidden_layers),
                 .got = "one",
                 .hint = "is hybrid_override_pattern (layers_block_type) cut off?"});
  const auto tell = [&](std::vector<std::string>& names, const char* what) {
    const std::size_t count = names.size();
    if (count == 0) return;
    names.resize(std::min(count, kNamed));
    warn_once(fmt::format("{}: {} {}: {}{}", folder, count == 1 ? "a tensor" : fmt::format("{} tensors", count), what,
                          fmt::join(names, ", "), count > kNamed ? ", …" : ""));
  };
  tell(unused, "that the model of config.json has no place for, and that nothing reads");
  tell(passengers, "for several tokens at once or of layers behind the last, which only go along into exports");
  if (const auto files = files_.unread_files(); !files.empty())
    log_warning("{}: weights are not read from {}", folder, fmt::join(files, ", "));
}

}  // namespace qad
