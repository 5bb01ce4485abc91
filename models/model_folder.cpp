#include "models/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <system_error>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "autograd/core/parallel.h"
#include "autograd/core/random.h"
#include "data/chat_template_files.h"
#include "data/safetensors.h"
#include "data/safetensors_writer.h"
#include "models/hf_config.h"
#include "models/registry.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// The index of the first value with all bits of its exponent set; the number of values without one.
template <class Bits, class T>
std::int64_t first_with_exponent(std::span<T> values, Bits exponent) {
  const auto has_it = [exponent](T value) { return (std::bit_cast<Bits>(value) & exponent) == exponent; };
  const auto size = static_cast<std::int64_t>(values.size());
  std::atomic<std::int64_t> first = size;
  parallel_for(size, 1 << 18, [&](std::int64_t begin, std::int64_t end) {
    const T* const chunk = values.data() + begin;
    Bits any = 0;  // of the whole chunk: a loop on Bits alone that never leaves early runs at the memory's speed
    for (std::int64_t i = 0; i < end - begin; ++i) any = static_cast<Bits>(any | Bits{has_it(chunk[i])});
    if (any == 0) return;
    const std::int64_t place = std::find_if(chunk, chunk + (end - begin), has_it) - values.data();
    std::int64_t seen = first;
    while (place < seen && !first.compare_exchange_weak(seen, place)) {
    }
  });
  return first;
}

// The index of the first infinity or NaN; the tensor's size without one.
std::int64_t first_not_finite(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) return first_with_exponent<std::uint32_t>(tensor.span(), 0x7f800000u);
  const std::uint16_t exponent = tensor.dtype() == DType::bf16 ? 0x7f80 : 0x7c00;
  return first_with_exponent(tensor.span<std::uint16_t>(), exponent);
}

// A tensor in the type that a caller wants; as the file's own bytes where that is the file's type.
Tensor in_type(const Tensor& stored, WeightType type) {
  const DType wanted = type == WeightType::bf16 ? DType::bf16 : type == WeightType::f32 ? DType::f32 : stored.dtype();
  return stored.dtype() == wanted ? stored : stored.to(wanted);
}

/// The name under which a folder stores a weight, once its header says the right shape and a type to compute with.
std::string stored_name(const SafetensorsFolder& files, const ModelConfig& config, const std::string& name,
                        const Shape& shape) {
  // A tied model may store its one matrix under the head's name only.
  const bool under_head = config.tie_word_embeddings && name == "model.embed_tokens.weight" && !files.has(name);
  std::string stored = under_head ? "lm_head.weight" : name;
  const SafetensorsInfo& info = files.info(stored);
  const std::string who = files.path().string() + ": " + stored;
  const std::string stored_shape = fmt::format("[{}]", fmt::join(info.shape, ", "));
  if (stored_shape != shape.text())
    throw Error({who, "shape " + shape.text(), stored_shape, "does config.json belong to these weights?"});
  if (info.dtype != "F32" && info.dtype != "F16" && info.dtype != "BF16")
    throw Error({who, "F32, F16 or BF16", info.dtype, "packed models are read by eval and generate, not as a teacher"});
  return stored;
}

ModelConfig config_of(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw Error({folder.string(), "a model's folder (config.json and safetensors)", "nothing of that kind", ""});
  return read_hf_config(folder);
}

}  // namespace

void check_model(const fs::path& folder) {
  const ModelConfig config = config_of(folder);
  const SafetensorsFolder files(folder);
  static_cast<void>(make_model(config, [&](const std::string& name, const Shape& shape) {
    static_cast<void>(stored_name(files, config, name, shape));
    return make_parameter(name, Tensor(shape, DType::bf16), false);  // memory that is never touched takes none
  }));
}

std::unique_ptr<LanguageModel> load_model(const fs::path& folder, WeightType type) {
  const ModelConfig config = config_of(folder);
  const SafetensorsFolder files(folder);
  auto model = make_model(config, [&](const std::string& name, const Shape& shape) {
    const std::string stored = stored_name(files, config, name, shape);
    const Tensor tensor = files.tensor(stored);
    if (const std::int64_t place = first_not_finite(tensor); place < tensor.size())
      throw Error({folder.string() + ": " + stored, "finite weights",
                   "an infinity or NaN at index " + std::to_string(place), "is the file damaged?"});
    return make_parameter(name, in_type(tensor, type), false);
  });
  model->label = folder.string();
  return model;
}

std::unique_ptr<LanguageModel> trainable_copy(LanguageModel& model) {
  std::map<std::string, Tensor> values;
  for (const ParameterPointer& parameter : model.parameters()) values[parameter->name] = parameter->value();
  return make_model(model.config(), [&](const std::string& name, const Shape& shape) {
    const Tensor& value = values.at(name);
    QAD_ASSERT(value.shape() == shape);
    return make_parameter(name, value.to(DType::f32), true);
  });
}

std::unique_ptr<LanguageModel> initialize_model(const ModelConfig& config, std::uint64_t seed) {
  check_expressible(config, "model");
  const double residual_scale = 1.0 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  return make_model(config, [&](const std::string& name, const Shape& shape) {
    if (name.ends_with("norm.weight")) return make_parameter(name, Tensor::full(shape, 1.0f), true);
    if (name.ends_with(".bias")) return make_parameter(name, Tensor::zeros(shape), true);
    const bool adds_to_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    const double deviation = config.initializer_range * (adds_to_residual ? residual_scale : 1.0);
    const Tensor value(shape);
    Random random(seed, stream_of("initialize " + name));
    for (float& x : value.span()) x = static_cast<float>(deviation * random.normal());
    return make_parameter(name, value, true);
  });
}

void save_model(const fs::path& folder, LanguageModel& model, DType dtype) {
  QAD_ASSERT(dtype == DType::bf16 || dtype == DType::f32);
  create_folders(folder);
  std::vector<Tensor> kept;  // the bytes that the entries point to
  std::vector<SafetensorsEntry> entries;
  for (const ParameterPointer& parameter : model.parameters()) {
    kept.push_back(parameter->value().to(dtype));
    entries.push_back(safetensors_entry(parameter->name, kept.back()));
  }
  write_safetensors(folder / "model.safetensors", entries);
  write_file_atomically(folder / "config.json",
                        to_hf_config(model.config(), dtype == DType::bf16 ? "bfloat16" : "float32"));
  write_file_atomically(folder / "generation_config.json", generation_config(model.config()));
}

const std::vector<std::string>& side_file_names() {
  static const std::vector<std::string> names = {"generation_config.json",
                                                 "tokenizer.json",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "tokenizer.model",
                                                 "tokenizer.bin",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "added_tokens.json"};
  return names;
}

void copy_side_files(const fs::path& from, const fs::path& to) {
  for (const std::string& name : side_file_names())
    if (fs::is_regular_file(from / name)) write_file_atomically(to / name, read_file(from / name, "a model's file"));
  for (const std::string& name : chat_template_files(from)) {
    create_folders((to / name).parent_path());
    write_file_atomically(to / name, read_file(from / name, "a chat template"));
  }
}

}  // namespace qad
