// A small quantized student for export tests: random weights, calibrated on a few tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "autograd/core/random.h"
#include "autograd/tape/variable.h"
#include "models/model_folder.h"
#include "qad/calib/calibrate.h"
#include "qad/exporters/exporter.h"
#include "qad/exporters/from_student.h"

namespace qad::testing {

inline ModelConfig tiny_config(bool tied = true) {
  ModelConfig config;
  config.vocab_size = 64;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.tie_word_embeddings = tied;
  return config;
}

inline TokenBatch tiny_batch() {
  TokenBatch batch;
  for (std::int32_t t = 0; t < 12; ++t) {
    batch.ids.push_back((t * 7 + 3) % 64);
    batch.positions.push_back(t);
    batch.labels.push_back(kNoLabel);
    batch.valid.push_back(1);
  }
  batch.segments = {{0, 12}};
  batch.document = {0};
  return batch;
}

/// All linear layers but the head.
inline QuantizeConfig quantize_blocks(const std::string& weights, const std::string& inputs) {
  QuantizeConfig config;
  config.rules = {{"*", weights, inputs}, {"lm_head", "none", "none"}};
  return config;
}

/// Calibrated, and with norms and biases of any values, as after training: hardly a parameter is exact in BF16.
struct TinyStudent {
  std::unique_ptr<LanguageModel> model;
  QuantizerSet quantizers;

  TinyStudent(const ModelConfig& config, const QuantizeConfig& quantize) : model(initialize_model(config, 7)) {
    Random random(7, stream_of("vectors"));
    for (const ParameterPointer& parameter : model->parameters())
      if (parameter->value().shape().rank() == 1)
        for (float& value : parameter->value().span()) value += static_cast<float>(0.1 * random.normal());
    quantizers = attach_quantizers(*model, quantize);
    calibrate(*model, quantizers, {tiny_batch()}, TensorScaleSource::calibration);
  }
  [[nodiscard]] ExportModel exported() { return export_model_of(*model, quantizers, {}); }
};

inline std::vector<float> logits_of(LanguageModel& model) {
  const NoGradScope no_grad;
  const Tensor logits = qad::logits_of(model, model.hidden_states(tiny_batch()).value());
  return {logits.span().begin(), logits.span().end()};
}

}  // namespace qad::testing
