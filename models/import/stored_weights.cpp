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
#include "models/families/registry.h"
#include "models/finite_values.h"
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

std::optional<StackedPlace> StoredWeights::stacked_place(const ParameterSpec& spec) const {
  if (!config_.experts) return std::nullopt;
  for (const std::string& name : names_of(spec.name))
    for (StackedPlace& place : stacked_places(name, spec.shape, config_.experts->num_experts))
      if (files_.has(place.name)) return std::move(place);
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
  std::vector<std::string> there;
  for (const std::string& one : names_of(spec.name))
    if (files_.has(one)) there.push_back(one);
  std::optional<StackedPlace> stacked = stacked_place(spec);
  if (stacked) there.push_back(stacked->name);
  if (there.size() > 1)
    throw Error({.who = files_.path().string(),
                 .expected = fmt::format("one tensor for '{}'", spec.name),
                 .got = fmt::format("'{}' and '{}'", there[0], there[1]),
                 .hint = "which one is meant? remove the other"});
  if (there.empty() && config_.tie_word_embeddings && spec.role == Role::embedding && files_.has(kHead))
    there = {kHead};
  if (there.empty()) missing(spec.name);
  check_header(there.front(), stacked ? stacked->shape : spec.shape,
               spec.role == Role::convolution || spec.role == Role::decay);
  used_.insert(there.front());
  return {there.front(), std::move(stacked)};
}

std::span<const std::byte> StoredWeights::bytes_of(const ParameterSpec& spec) {
  const auto [stored, stacked] = place_of(spec);
  const std::span<const std::byte> all = files_.bytes(stored);
  if (!stacked) return all;
  const std::size_t row = all.size() / static_cast<std::size_t>(stacked->shape.rows());
  const std::int64_t first = stacked->expert * stacked->shape[1] + stacked->first_row;
  return all.subspan(static_cast<std::size_t>(first) * row, static_cast<std::size_t>(spec.shape.rows()) * row);
}

Tensor StoredWeights::load(const ParameterSpec& spec, WeightType type) {
  const auto [stored, stacked] = place_of(spec);
  const bool doubles = files_.info(stored).dtype == "F64";
  Tensor tensor =
      doubles ? from_doubles(files_.bytes(stored), stacked ? stacked->shape : spec.shape) : files_.tensor(stored);
  std::int64_t first = 0;  // index of the weight's first value in the file's tensor
  if (stacked) {
    const std::int64_t rows = stacked->shape[1], cols = stacked->shape[2];
    first = (stacked->expert * rows + stacked->first_row) * cols;
    tensor = tensor.reshape({stacked->shape.rows(), cols})
                 .slice(stacked->expert * rows + stacked->first_row,
                        stacked->expert * rows + stacked->first_row + spec.shape.rows());
  }
  if (tensor.shape() != spec.shape) tensor = tensor.reshape(spec.shape);
  const DType wanted = wanted_type(type, tensor.dtype());
  const Tensor result = tensor.dtype() == wanted ? tensor : tensor.to(wanted);
  const std::int64_t place = first_not_finite(result);
  if (place == result.size()) return result;

  const std::string who = files_.path().string() + ": " + stored;
  const auto value = [&](const Tensor& of) { return of.to(DType::f32).data()[place]; };
  const double found = doubles ? double_at(files_.bytes(stored), first + place) : static_cast<double>(value(tensor));
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
  const auto tell = [&](std::vector<std::string>& names, const char* what) {
    const std::size_t count = names.size();
    if (count == 0) return;
    names.resize(std::min(count, kNamed));
    log_warning("{}: {} {}: {}{}", folder, count == 1 ? "a tensor" : fmt::format("{} tensors", count), what,
                fmt::join(names, ", "), count > kNamed ? ", …" : "");
  };
  tell(unused, "that the model of config.json has no place for, and that nothing reads");
  tell(passengers, "for several tokens at once or of layers behind the last, which only go along into exports");
  if (const auto files = files_.unread_files(); !files.empty())
    log_warning("{}: weights are not read from {}", folder, fmt::join(files, ", "));
}

}  // namespace qad
