// What an exporter is: a pair of pure functions between a quantized model in memory and the files of one on-disk
// layout, unpack(pack(model)) being the model again. Neither touches a disk: write_export.h does, verifies what it
// wrote, and read_export.h reads it back. The table of layouts is in registry.h.
//
// Codes come straight from the quantizer that trained the student; nothing is ever quantized here.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/core/tensor.h"
#include "autograd/nn/parameter.h"
#include "data/files/gguf.h"
#include "data/tokenizer/tokenizer.h"
#include "models/import/passengers.h"
#include "models/model_config.h"
#include "qad/formats/quantized_tensor.h"
#include "qad/quant/policy.h"

namespace qad {

struct NamedTensor {
  std::string name;  ///< hub name: model.layers.0.input_layernorm.weight
  Tensor value;      ///< FP32, BF16 or F16
  Role role = Role::weight;
};

/// How a layer's input is quantized: block scales follow the data, the tensor scale is frozen.
struct InputScale {
  const BlockFormat* format = nullptr;
  float tensor_scale = 1.0f;  ///< a multiplier: amax/2688 in nvfp4
};

struct ExportLinear {
  std::string name;   ///< module: model.layers.0.self_attn.q_proj
  std::string group;  ///< layers that engines fuse and run under one scale share it; unpack leaves it empty
  std::optional<QuantizedTensor> weight;  ///< [out, in]; none: the weight is one of the dense tensors
  std::optional<InputScale> input;        ///< none: the input stays as it is (W4A16)
  std::string reads{};                    ///< layers that read the same input share it; unpack leaves it empty
  Role role = Role::weight;               ///< of its matrix; that of the embedding where the head is tied
};

/// Keys and values of one attention layer: codes under one multiplier each, amax/448 in fp8.
struct KeyValueScale {
  std::string attention;  ///< model.layers.0.self_attn
  float key = 1.0f, value = 1.0f;
};

struct ExportModel {
  std::string config_json;             ///< the model's config.json, without quantization
  std::string generation_config_json;  ///< its end tokens count, not config.json's; empty: none
  std::vector<NamedTensor> dense;      ///< all that is not quantized, in the order of the layers
  /// Every linear layer, quantized or not, lm_head among them; of unpack also other modules that the files name as not
  /// quantized (unquantized_names).
  std::vector<ExportLinear> linears;
  const BlockFormat* cache_format = nullptr;     ///< of keys and values; null: the cache is not quantized
  std::vector<KeyValueScale> key_value_scales;   ///< one an attention layer; none: the cache is not quantized
  DType dense_type = DType::bf16;                ///< in which the dense tensors are written: BF16 or FP32
  std::shared_ptr<const Tokenizer> tokenizer{};  ///< for layouts that hold it inside; null: none
  std::vector<Passenger> passengers{};           ///< written as they are beside what pack gives; GGUF has no place
};

/// A tensor as a safetensors file holds it.
struct FileTensor {
  std::string name;
  std::string dtype;  ///< as safetensors says it: F32, BF16, F8_E4M3, U8, I32, …; in GGUF NVFP4 or MXFP4, in blocks
  Tensor data;        ///< in the type of its dtype; u8 for those of one byte and for blocks
};

struct ExportFiles {
  std::vector<FileTensor> tensors;
  std::map<std::string, std::string> texts;  ///< contents by file name: config.json, hf_quant_config.json
  GgufMetadata metadata{};                   ///< of a GGUF file; empty: the tensors are in safetensors
  std::vector<Passenger> passengers{};       ///< of files that were read; pack and unpack leave them alone
};

struct ExportOutline;  // export_refusals.h
struct Refusal;

struct Exporter {
  std::string_view name;
  std::string_view help;  ///< one line: who reads it
  /// Adds the tensors of a model, or of a part of one: layers with all that shares a tensor of the files with them.
  void (*pack_tensors)(const ExportModel&, ExportFiles&);
  /// Adds texts and metadata to the tensors of a whole model.
  void (*pack_texts)(const ExportModel&, ExportFiles&);
  /// Throws, naming the tensor, if something is missing or of another type or shape.
  ExportModel (*unpack)(const ExportFiles&);
  /// Whether it has a place for a quantized layer of these formats.
  bool (*holds)(const LayerFormats&);
  /// What else it has no place for: sizes of the model, scales. Null: nothing.
  std::vector<Refusal> (*refuse)(const ExportOutline&) = nullptr;
  /// The format of keys and values for which it has a place; empty: none. Where no codes are stored, nothing is said of
  /// it and any will do.
  std::string_view cache_format{};
  /// Whether codes and scales are stored. If not, unpack gives the dequantized weights as dense tensors.
  bool stores_codes = true;
  bool holds_tokenizer = false;  ///< pack takes the model's tokenizer
  bool holds_passengers = true;
  /// Throws for a tokenizer that a layout which holds one can't say; null: it holds none.
  void (*check_tokenizer)(const Tokenizer&, const ModelConfig&) = nullptr;
  bool refuses_sizes = false;  ///< `refuse` looks at the model's config
  /// Types and shapes of tensors, and all texts, follow from those of the model and from scales, so that a model can be
  /// packed part by part.
  bool streams = false;

  /// Throws, naming the layers, what export_refusals tells.
  [[nodiscard]] ExportFiles pack(const ExportModel& model) const;
};

[[nodiscard]] LayerFormats formats_of(const ExportLinear& linear);

/// A dense tensor as an export holds it: BF16, rounded to nearest-even, or FP32. The same storage if nothing changes.
[[nodiscard]] Tensor as_stored(const Tensor& value, DType dense_type);

/// The weight that a forward of the exported model uses: codes dequantized to FP32.
[[nodiscard]] Tensor dequantized(const QuantizedTensor& weight);

}  // namespace qad
