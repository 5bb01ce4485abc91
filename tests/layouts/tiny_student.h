// A small quantized student for export tests: random weights, calibrated on a few tokens.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "autograd/base/random.h"
#include "qad/calib/calibrate.h"
#include "qad/layouts/exporter.h"
#include "qad/layouts/from_student.h"
#include "tests/support/small_model.h"

namespace qad::testing {

/// Calibrated, and with norms, biases and learned scales of any values, as after training: hardly a parameter is exact
/// in BF16.
struct TinyStudent {
  std::unique_ptr<LanguageModel> model;
  QuantizerSet quantizers;

  TinyStudent(const ModelConfig& config, const QuantizeConfig& quantize) : model(initialize_model(config, 7)) {
    Random random(7, stream_of("vectors"));
    for (const ParameterPointer& parameter : model->parameters())
      if (parameter->value().shape().rank() == 1)
        for (float& value : parameter->value().span()) value += static_cast<float>(0.1 * random.normal());
    quantizers = attach_quantizers(*model, quantize);
    calibrate(*model, quantizers, {small_batch()}, {TensorScaleSource::calibration});
    for (const ParameterPointer& parameter : quantizers.parameters()) {
      for (float& value : parameter->value().span()) value += static_cast<float>(0.3 * random.normal());
      parameter->changed();
    }
  }
  [[nodiscard]] ExportModel exported() { return export_model_of(*model, quantizers, {}); }
};

inline const FileTensor& tensor_of(const ExportFiles& files, const std::string& name) {
  for (const FileTensor& tensor : files.tensors)
    if (tensor.name == name) return tensor;
  throw std::out_of_range(name);
}

inline std::vector<float> logits_of(LanguageModel& model) {
  const NoGradScope no_grad;
  const Tensor logits = qad::logits_of(model, model.hidden_states(small_batch()).value());
  return {logits.span().begin(), logits.span().end()};
}

}  // namespace qad::testing
