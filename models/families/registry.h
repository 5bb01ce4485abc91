// The model families, by the model_type of their config.json. What one is: family.h.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "models/families/family.h"
#include "models/language_model.h"

namespace qad {

[[nodiscard]] std::span<const Family* const> families();
/// Throws, naming `who` and the families there are, for any other model_type.
[[nodiscard]] const Family& family_of(const std::string& model_type, const std::string& who);

[[nodiscard]] std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make);

}  // namespace qad
