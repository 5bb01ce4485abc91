#include "qad/checkpoint/run_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "autograd/base/error.h"
#include "data/files/hash.h"
#include "models/families/common_keys.h"

namespace qad {
namespace {

constexpr std::string_view kInput = "input/";

std::span<const std::byte> bytes_of_values(const Tensor& tensor) {
  const std::byte* const begin = tensor.dtype() == DType::f32 ? std::as_bytes(tensor.span<float>()).data()
                                                              : std::as_bytes(tensor.span<std::uint16_t>()).data();
  return {begin, tensor.bytes()};
}

}  // namespace

std::string fingerprint(LanguageModel& model) {
  Hasher128 hasher;
  for (const ParameterPointer& parameter : model.parameters()) {
    const Tensor& value = parameter->value();
    const std::string head = fmt::format("{} {} {}\n", parameter->name, name_of(value.dtype()), value.shape().text());
    hasher.add(std::span<const char>(head));
    hasher.add(bytes_of_values(value));
  }
  return hex(hasher.hash());
}

// A key that a later program knows changes nothing where nobody says it.
std::string fingerprint(const ModelConfig& config) {
  const nlohmann::ordered_json fields = fields_of(config), unsaid = fields_of(ModelConfig());
  std::string text;
  for (const auto& [key, value] : fields.items())
    if (!unsaid.contains(key) || unsaid[key] != value) text += key + " " + value.dump() + "\n";
  return hex(hash128(text));
}

std::string fingerprint(const Tokenizer& tokenizer) {
  Hasher128 hasher;
  for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    if (const auto token = tokenizer.token(id))
      hasher.add(std::span<const char>(fmt::format("{} {} {}\n", id, token->text.size(), token->text)));
  return hex(hasher.hash());
}

void add_model(const std::string& name, LanguageModel& model, RunInputs& inputs) {
  inputs[name] = fingerprint(model);
  add_config(name, model.config(), inputs);
}

void add_config(const std::string& name, const ModelConfig& config, RunInputs& inputs) {
  inputs["config.json of the " + name] = fingerprint(config);
}

void add_inputs(const RunInputs& inputs, CheckpointContent& content) {
  for (const auto& [name, hash] : inputs) content.texts[std::string(kInput) + name] = hash;
}

RunInputs inputs_of(const CheckpointContent& content) {
  RunInputs inputs;
  for (const auto& [name, text] : content.texts)
    if (name.starts_with(kInput)) inputs[name.substr(kInput.size())] = text;
  return inputs;
}

void check_inputs(const RunInputs& inputs, const CheckpointContent& content, const std::string& file) {
  std::vector<std::string> changed;
  for (const auto& [name, hash] : inputs_of(content))
    if (const auto now = inputs.find(name); now != inputs.end() && now->second != hash) changed.push_back(name);
  if (changed.empty()) return;
  throw Error({.who = file,
               .expected = "what the run began with",
               .got = fmt::format("another {}", fmt::join(changed, " and another ")),
               .hint = "give it back as it was, or begin a new run"});
}

}  // namespace qad
