// What the layouts share: looking tensors up by name with clear errors, numbers as file tensors, and edits of
// config.json. How they store a quantized layer: stored_layer.h.
#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "qad/layouts/exporter.h"

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
/// A multiplier [1] in BF16, as llm-compressor writes it, or in FP32, which loaders take as well, where that would
/// round.
[[nodiscard]] FileTensor multiplier_tensor(const std::string& name, float scale);
[[nodiscard]] bool is_power_of_two(float scale);
/// The dense tensors of a model in its dense type.
void append_dense(const ExportModel& model, std::vector<FileTensor>& tensors);

/// The one format in which a layout can say that keys and values are quantized: one scale a tensor, as engines keep
/// them.
inline constexpr std::string_view kStoredCacheFormat = "fp8";
/// Adds scales that a layout had for keys and values in that format.
void add_cache_scale(ExportModel& model, KeyValueScale scale);

/// A list of names under a path of keys; empty where the path ends early.
[[nodiscard]] std::vector<std::string> names_at(const OrderedJson& json, std::initializer_list<const char*> path);

/// Names of the modules that stay as they are although an engine would take them for quantized if it were not told:
/// linear layers, routers of experts, convolutions, matrices among the passengers.
[[nodiscard]] std::vector<std::string> unquantized_names(const ExportModel& model);

/// Tensors by name; each is taken once, and what is left in the end is dense.
class TensorTable {
 public:
  explicit TensorTable(const std::vector<FileTensor>& tensors);

  [[nodiscard]] bool has(const std::string& name) const { return by_name_.contains(name); }
  /// Empty for a tensor that is not there.
  [[nodiscard]] std::string_view dtype_of(const std::string& name) const;
  /// The tensor, which must be there with this dtype.
  const FileTensor& take(const std::string& name, std::string_view dtype);
  /// A positive, finite number in any float type, of shape [] or [1].
  float take_scale(const std::string& name) { return take_scales(name, 1).front(); }
  /// So many of them, of shape [count].
  std::vector<float> take_scales(const std::string& name, std::int64_t count);
  /// A tensor of any float type whose values `dtype` holds, in that type.
  Tensor take_exactly(const std::string& name, DType dtype);
  /// All tensors not taken, in their order; each must be of a float type.
  [[nodiscard]] std::vector<NamedTensor> rest() const;
  /// Names that end in one of `suffixes`, without it, each once, in the order of the tensors.
  [[nodiscard]] std::vector<std::string> stems(const std::vector<std::string_view>& suffixes) const;

 private:
  const std::vector<FileTensor>& tensors_;
  std::map<std::string, const FileTensor*> by_name_;
  std::set<std::string> taken_;
};

}  // namespace qad
