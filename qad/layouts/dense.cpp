#include "qad/layouts/dense.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "qad/layouts/layout_files.h"

namespace qad {
namespace {

bool fits_bf16(const Tensor& values) {
  return std::ranges::all_of(values.span(), [](float x) { return (std::bit_cast<std::uint32_t>(x) & 0xffffu) == 0; });
}

}  // namespace

bool holds_dense(const LayerFormats& /*formats*/) { return true; }

void pack_dense_tensors(const ExportModel& model, ExportFiles& files) {
  append_dense(model, files.tensors);
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const Tensor values = dequantized(*linear.weight);
    const DType type = fits_bf16(values) ? model.dense_type : DType::f32;
    files.tensors.push_back(float_tensor(linear.name + ".weight", as_stored(values, type)));
  }
}

void pack_dense_texts(const ExportModel& model, ExportFiles& files) {
  std::set<std::string> quantized;
  for (const ExportLinear& linear : model.linears)
    if (linear.weight) quantized.insert(linear.name + ".weight");
  const bool any_f32 = std::ranges::any_of(files.tensors, [&](const FileTensor& tensor) {
    return tensor.data.dtype() == DType::f32 && quantized.contains(tensor.name);
  });
  files.texts["config.json"] = to_text(config_of(model, any_f32 ? DType::f32 : model.dense_type));
}

ExportModel unpack_dense(const ExportFiles& files) {
  ExportModel model;
  model.config_json = plain_config(files);
  model.dense = TensorTable(files.tensors).rest();
  return model;
}

}  // namespace qad
