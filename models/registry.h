// The model families, by the model_type of their config.
#pragma once

#include <memory>

#include "models/decoder_layer.h"
#include "models/language_model.h"

namespace qad {

[[nodiscard]] std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make);

}  // namespace qad
