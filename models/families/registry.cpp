#include "models/families/registry.h"

#include <algorithm>
#include <array>

#include "autograd/base/error.h"

namespace qad {

// Each in a file of its name.
extern const Family kDeepseekV2, kDeepseekV3, kKimiLinear, kLlama, kMamba2, kMistral, kMixtral, kNemotronNas,
    kNemotronH, kQwen2, kQwen3, kQwen35Moe, kQwen35, kQwen3Moe, kQwen3Next;

namespace {

constexpr auto kFamilies = std::to_array<const Family*>({&kDeepseekV2, &kDeepseekV3, &kKimiLinear, &kLlama, &kMamba2,
                                                         &kMistral, &kMixtral, &kNemotronNas, &kNemotronH, &kQwen2,
                                                         &kQwen3, &kQwen35Moe, &kQwen35, &kQwen3Moe, &kQwen3Next});

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

const Family& family_of(const std::string& model_type, const std::string& who) {
  const auto* const found = std::ranges::find(kFamilies, model_type, &Family::model_type);
  if (found != kFamilies.end()) return **found;
  std::string known;
  for (const Family* family : kFamilies) known += (known.empty() ? "" : ", ") + std::string(family->model_type);
  throw Error({.who = who, .expected = "model_type to be one of " + known, .got = "'" + model_type + "'"});
}

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make) {
  return family_of(config.model_type, "model").make(config, [&](const ParameterSpec& spec) {
    ParameterPointer parameter = make(spec);
    parameter->role = spec.role;
    return parameter;
  });
}

}  // namespace qad
