#include "qad/layouts/exporter.h"

#include "models/families/hf_config.h"
#include "qad/formats/quantize.h"
#include "qad/layouts/export_refusals.h"

namespace qad {

ExportFiles Exporter::pack(const ExportModel& model) const {
  check_holds(name, model, refuses_sizes ? parse_hf_config(model.config_json, "config.json") : ModelConfig());
  ExportFiles files;
  pack_tensors(model, files);
  pack_texts(model, files);
  return files;
}

LayerFormats formats_of(const ExportLinear& linear) {
  return {linear.weight ? linear.weight->format : nullptr, linear.input ? linear.input->format : nullptr};
}

Tensor as_stored(const Tensor& value, DType dense_type) {
  if (value.dtype() == dense_type) return value;
  const Tensor wide = as_f32(value);
  return dense_type == DType::f32 ? wide : wide.to(dense_type);
}

Tensor dequantized(const QuantizedTensor& weight) {
  const Tensor values({weight.rows, weight.cols});
  dequantize_rows(weight, 0, weight.rows, values.data());
  return values;
}

}  // namespace qad
