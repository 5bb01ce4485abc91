#include "models/import/model_folder.h"

#include <cmath>
#include <map>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/place.h"
#include "autograd/base/random.h"
#include "data/files/safetensors_writer.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"
#include "models/finite_values.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

Fresh fresh_of(const ParameterSpec& spec) {
  if (spec.fresh != Fresh::by_role) return spec.fresh;
  if (spec.role == Role::norm) return Fresh::ones;
  return spec.role == Role::bias || spec.role == Role::choice_bias ? Fresh::zeros : Fresh::by_role;
}

// The inverse of softplus at 0.001·100^u.
double fresh_time_step(double u) {
  const double step = 0.001 * std::pow(100.0, u);
  return step + std::log(-std::expm1(-step));
}

}  // namespace

ModelConfig plain_config_of(const fs::path& folder) {
  check_model_folder(folder);
  check_plain_model(folder);
  if (fs::exists(folder / "adapter_config.json"))
    throw Error({.who = (folder / "adapter_config.json").string(),
                 .expected = "a model without an adapter",
                 .got = "one",
                 .hint = "transformers would add it: merge it into the weights first, or remove the file"});
  return read_hf_config(folder);
}

void check_model(const fs::path& folder) {
  const ModelConfig config = plain_config_of(folder);
  StoredWeights weights(folder, config);
  static_cast<void>(make_model(config, [&](const ParameterSpec& spec) {
    static_cast<void>(weights.place_of(spec));
    return make_parameter(spec.name, Tensor(spec.shape, DType::bf16),
                          false);  // memory that is never touched takes none
  }));
}

std::unique_ptr<LanguageModel> load_model(const fs::path& folder, WeightType type) {
  const ModelConfig config = plain_config_of(folder);
  StoredWeights weights(folder, config);
  auto model = make_model(config, [&](const ParameterSpec& spec) {
    const WeightType own = kept_type(spec.role, DType::bf16) == DType::f32 ? WeightType::f32 : type;
    return make_parameter(spec.name, weights.load(spec, own), false);
  });
  weights.check_tied_head();
  weights.tell_unused();
  model->label = folder.string();
  return model;
}

std::unique_ptr<LanguageModel> trainable_copy(LanguageModel& model) {
  std::map<std::string, Tensor> values;
  for (const ParameterPointer& parameter : model.parameters()) values[parameter->name] = parameter->value();
  return make_model(model.config(), [&](const ParameterSpec& spec) {
    const Tensor& value = values.at(spec.name);
    QAD_ASSERT(value.shape() == spec.shape);
    return make_parameter(spec.name, value.to(DType::f32), true);
  });
}

std::unique_ptr<LanguageModel> initialize_model(const ModelConfig& config, std::uint64_t seed) {
  check_expressible(config, "model");
  const double residual_scale = 1.0 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  return make_model(config, [&](const ParameterSpec& spec) {
    const Fresh fresh = fresh_of(spec);
    if (fresh == Fresh::ones) return make_parameter(spec.name, Tensor::full(spec.shape, 1.0f), true);
    if (fresh == Fresh::zeros) return make_parameter(spec.name, Tensor::zeros(spec.shape), true);
    const double deviation = config.initializer_range * (spec.adds_to_residual ? residual_scale : 1.0);
    const Tensor value(spec.shape);
    Random random(seed, stream_of("initialize " + spec.name));
    for (float& x : value.span())
      x = static_cast<float>(fresh == Fresh::decay       ? std::log(1.0 + 15.0 * random.uniform())
                             : fresh == Fresh::time_step ? fresh_time_step(random.uniform())
                                                         : deviation * random.normal());
    return make_parameter(spec.name, value, true);
  });
}

void save_model(const fs::path& folder, LanguageModel& model, DType dtype) {
  QAD_ASSERT(dtype == DType::bf16 || dtype == DType::f32);
  create_folders(folder);
  std::vector<Tensor> kept;  // the bytes that the entries point to
  std::vector<SafetensorsEntry> entries;
  for (const ParameterPointer& parameter : model.parameters()) {
    const DType own = kept_type(parameter->role, dtype);
    if (own == DType::bf16) check_fits_bf16(parameter->name, parameter->value());
    kept.push_back(parameter->value().to(own));
    entries.push_back(safetensors_entry(parameter->name, kept.back()));
  }
  write_safetensors(folder / "model.safetensors", entries);
  write_file_atomically(folder / "config.json",
                        to_hf_config(model.config(), dtype == DType::bf16 ? "bfloat16" : "float32"));
  write_file_atomically(folder / "generation_config.json", generation_config(model.config()));
}

}  // namespace qad
