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
#include "models/finite_values.h"

namespace qad {
namespace {

constexpr std::string_view kModel = "model.";  // before every name but the head's
constexpr const char* kEmbedding = "model.embed_tokens.weight";
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
  const std::string bare = name.starts_with(kModel) ? name.substr(kModel.size()) : name;
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

std::string StoredWeights::stored_name(const std::string& name, const Shape& shape) {
  std::vector<std::string> there;
  for (const std::string& one : {name, name.starts_with(kModel) ? name.substr(kModel.size()) : std::string()})
    if (!one.empty() && files_.has(one)) there.push_back(one);
  if (there.size() > 1)
    throw Error({.who = files_.path().string(),
                 .expected = fmt::format("one tensor for '{}'", name),
                 .got = fmt::format("'{}' and '{}'", there[0], there[1]),
                 .hint = "which one is meant? remove the other"});
  if (there.empty() && config_.tie_word_embeddings && name == kEmbedding && files_.has(kHead)) there = {kHead};
  if (there.empty()) missing(name);

  const SafetensorsInfo& info = files_.info(there.front());
  const std::string who = files_.path().string() + ": " + there.front();
  const std::string stored_shape = fmt::format("[{}]", fmt::join(info.shape, ", "));
  if (stored_shape != shape.text())
    throw Error({.who = who,
                 .expected = "shape " + shape.text(),
                 .got = stored_shape,
                 .hint = "does config.json belong to these weights?"});
  if (info.dtype != "F64" && info.dtype != "F32" && info.dtype != "F16" && info.dtype != "BF16")
    throw Error(
        {who, "F64, F32, F16 or BF16", info.dtype, "packed models are read by eval and generate, not as a teacher"});
  used_.insert(there.front());
  return there.front();
}

Tensor StoredWeights::load(const std::string& name, const Shape& shape, WeightType type) {
  const std::string stored = stored_name(name, shape);
  const bool doubles = files_.info(stored).dtype == "F64";
  const Tensor tensor = doubles ? from_doubles(files_.bytes(stored), shape) : files_.tensor(stored);
  const DType wanted = wanted_type(type, tensor.dtype());
  const Tensor result = tensor.dtype() == wanted ? tensor : tensor.to(wanted);
  const std::int64_t place = first_not_finite(result);
  if (place == result.size()) return result;

  const std::string who = files_.path().string() + ": " + stored;
  const auto value = [&](const Tensor& of) { return of.to(DType::f32).data()[place]; };
  const double found = doubles ? double_at(files_.bytes(stored), place) : static_cast<double>(value(tensor));
  if (!std::isfinite(found))
    throw Error({.who = who,
                 .expected = "finite weights",
                 .got = fmt::format("an infinity or NaN at index {}", place),
                 .hint = "is the file damaged?"});
  const bool by_bf16 = wanted == DType::bf16 && std::abs(found) < 3.4028235e38;
  throw Error({.who = who,
               .expected = fmt::format("weights that {} holds", by_bf16 ? "BF16" : "FP32"),
               .got = fmt::format("{:.6g} at index {}", found, place),
               .hint = by_bf16 ? "teacher.weights: file keeps the file's type" : ""});
}

void StoredWeights::check_tied_head() {
  if (!config_.tie_word_embeddings || !files_.has(kHead)) return;
  used_.insert(kHead);
  std::string embedding = kEmbedding;
  if (!files_.has(embedding)) embedding = embedding.substr(kModel.size());
  if (!files_.has(embedding)) return;
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
  std::vector<std::string> unused;
  for (const std::string& name : files_.names())
    if (!used_.contains(name) && !name.ends_with("rotary_emb.inv_freq")) unused.push_back(name);  // of old checkpoints
  const std::string folder = files_.path().string();
  if (const std::size_t count = unused.size(); count > 0) {
    unused.resize(std::min(count, kNamed));
    log_warning("{}: {} that the model of config.json has no place for, and that nothing reads: {}{}", folder,
                count == 1 ? "a tensor" : fmt::format("{} tensors", count), fmt::join(unused, ", "),
                count > kNamed ? ", …" : "");
  }
  if (const auto files = files_.unread_files(); !files.empty())
    log_warning("{}: weights are not read from {}", folder, fmt::join(files, ", "));
}

}  // namespace qad
