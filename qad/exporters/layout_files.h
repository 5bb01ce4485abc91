// What the layouts share: looking tensors up by name with clear errors, NVFP4 codes and scales as file tensors, and
// edits of config.json.
#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "qad/exporters/exporter.h"

namespace qad {

/// Keeps the order of keys, so that a config comes out as it went in.
using OrderedJson = nlohmann::ordered_json;

/// Parses a text of `files`; a missing one or one that is no JSON object is an Error.
[[nodiscard]] OrderedJson parse_text(const ExportFiles& files, const std::string& name);
/// The model's config with the type of its weights set; what an earlier quantization said is gone.
[[nodiscard]] OrderedJson config_of(const ExportModel& model, DType weight_type);
[[nodiscard]] std::string to_text(const OrderedJson& json);
/// The inverse of what layouts add to config.json: without quantization_config.
[[nodiscard]] std::string plain_config(const ExportFiles& files);

/// The value in FP32, BF16 or F16 as a file tensor.
[[nodiscard]] FileTensor float_tensor(std::string name, const Tensor& value);
/// One FP32 or BF16 number of the given shape: [] or [1].
[[nodiscard]] FileTensor scalar_tensor(std::string name, const Shape& shape, float value, DType dtype = DType::f32);
/// The dense tensors of a model in its dense type.
void append_dense(const ExportModel& model, std::vector<FileTensor>& tensors);

/// A list of names under a path of keys; empty where the path ends early.
[[nodiscard]] std::vector<std::string> names_at(const OrderedJson& json, std::initializer_list<const char*> path);

/// Throws for a model without any quantized layer, about which a layout of codes has nothing to say.
void check_has_codes(const ExportModel& model);
/// Names of the linear layers that stay as they are.
[[nodiscard]] std::vector<std::string> unquantized_names(const ExportModel& model);

/// Tensors by name; each is taken once, and what is left in the end is dense.
class TensorTable {
 public:
  explicit TensorTable(const std::vector<FileTensor>& tensors);

  [[nodiscard]] bool has(const std::string& name) const { return by_name_.contains(name); }
  /// The tensor, which must be there with this dtype.
  const FileTensor& take(const std::string& name, std::string_view dtype);
  /// A positive, finite number in any float type, of shape [] or [1].
  float take_scale(const std::string& name);
  /// Codes of 4 bits [N, K/2] and block scales: E4M3 [N, K/16] in nvfp4, E8M0 [N, K/32] in mxfp4.
  QuantizedTensor take_blocks(std::string_view format, const std::string& codes, const std::string& scales,
                              float tensor_scale);
  /// E4M3 codes [N, K] under one scale.
  QuantizedTensor take_fp8(const std::string& codes, float tensor_scale);
  /// All tensors not taken, in their order; each must be of a float type.
  [[nodiscard]] std::vector<NamedTensor> rest() const;
  /// Names that end in `suffix`, without it, in the order of the tensors.
  [[nodiscard]] std::vector<std::string> stems(std::string_view suffix) const;

 private:
  const std::vector<FileTensor>& tensors_;
  std::map<std::string, const FileTensor*> by_name_;
  std::set<std::string> taken_;
};

}  // namespace qad
