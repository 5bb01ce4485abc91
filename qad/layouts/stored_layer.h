// How a layout stores a quantized layer, as data: a row for each pair of number formats that it has a place for, with
// the tensors that it writes for such a layer. A tensor's code is a pair of functions, each the inverse of the other;
// those that several layouts share are here, the others with their layout.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qad/layouts/layout_files.h"

namespace qad {

struct StoredPart;
struct PartCode {
  FileTensor (*pack)(const std::string& name, const StoredPart& part, const ExportLinear& linear);
  /// Reads the tensor into `linear`, into which the parts before it were read. Throws, naming it, for another type or
  /// shape, and for values that no packer writes.
  void (*unpack)(const std::string& name, const StoredPart& part, TensorTable& tensors, ExportLinear& linear);
};

struct StoredPart {
  std::string_view suffix;  ///< after the layer's name: .weight_scale
  std::string_view dtype;   ///< as a safetensors file says it; empty: any float type that holds the values exactly
  const PartCode* code;
};

// Parts that layouts share: [N, K] is the shape of the weight.
extern const PartCode kCodes;                             ///< [N, bytes a row] as pack.h has them
extern const PartCode kBlockScales;                       ///< [N, blocks a row]
extern const PartCode kScale, kInputScale;                ///< F32 []: tensor scales of the weight and of the input
extern const PartCode kScaleOfOne, kInputScaleOfOne;      ///< [1]: BF16, or F32 where that would round
extern const PartCode kScaleDivisor, kInputScaleDivisor;  ///< F32 [1]: one over a power of two

struct StoredLayer {
  std::string_view weights, inputs;  ///< names of number formats; inputs may be none
  std::span<const StoredPart> parts;
};

[[nodiscard]] bool holds(const StoredLayer& row, const LayerFormats& formats);

/// The tensors of a quantized layer, and back.
void append_parts(const StoredLayer& row, const ExportLinear& linear, std::vector<FileTensor>& tensors);
[[nodiscard]] ExportLinear take_parts(const StoredLayer& row, const std::string& layer, TensorTable& tensors);

/// The row of a layout's table with a place for these formats; null if there is none. A row has its StoredLayer as the
/// member `stored`.
template <class Row>
[[nodiscard]] const Row* find_row(std::span<const Row> rows, const LayerFormats& formats) {
  for (const Row& row : rows)
    if (holds(row.stored, formats)) return &row;
  return nullptr;
}

/// Names of the layers of which `tensors` has a part by a suffix of these rows, in their order; .weight, which every
/// layer has, is no sign.
template <class Row>
[[nodiscard]] std::vector<std::string> stored_layers(std::span<const Row> rows, const TensorTable& tensors) {
  std::vector<std::string_view> suffixes;
  for (const Row& row : rows)
    for (const StoredPart& part : row.stored.parts) suffixes.push_back(part.suffix);
  std::erase(suffixes, ".weight");
  return tensors.stems(suffixes);
}

/// Throws, naming the tensor, for block scales that are negative or no number.
void check_block_scales(const std::string& name, const QuantizedTensor& weight);

/// In which type the readers of these weights should compute: BF16, but FP32 where a format's values do not fit.
[[nodiscard]] DType compute_type(const ExportModel& model);

}  // namespace qad
