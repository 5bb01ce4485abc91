#include "qad/checkpoint/run_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "autograd/base/error.h"
#include "data/files/hash.h"

namespace qad {
namespace {

constexpr const char* kInput = "input/";

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

void add_inputs(const RunInputs& inputs, CheckpointContent& content) {
  for (const auto& [name, hash] : inputs) content.texts[kInput + name] = hash;
}

void check_inputs(const RunInputs& inputs, const CheckpointContent& content, const std::string& file) {
  std::vector<std::string> changed;
  for (const auto& [name, hash] : inputs)
    if (const auto then = content.texts.find(kInput + name); then != content.texts.end() && then->second != hash)
      changed.push_back(name);
  if (changed.empty()) return;
  throw Error({.who = file,
               .expected = "what the run began with",
               .got = fmt::format("another {}", fmt::join(changed, " and another ")),
               .hint = "give it back as it was, or begin a new run"});
}

}  // namespace qad
