#include "qad/exporters/registry.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "autograd/core/error.h"
#include "qad/exporters/compressed_tensors.h"
#include "qad/exporters/dense.h"
#include "qad/exporters/gguf.h"
#include "qad/exporters/layout_files.h"
#include "qad/exporters/modelopt.h"

namespace qad {

std::span<const Exporter> exporters() {
  static constexpr auto kTable = std::to_array<Exporter>({
      {"modelopt", "packed codes for TensorRT-LLM, vLLM and SGLang", pack_modelopt, unpack_modelopt, true},
      {"compressed_tensors", "packed codes for vLLM, SGLang and transformers", pack_compressed_tensors,
       unpack_compressed_tensors, true},
      {"dense", "the same weights unpacked, for any reader", pack_dense, unpack_dense, false},
      {"gguf", "one file with everything, for llama.cpp", pack_gguf, unpack_gguf, true, true},
  });
  return kTable;
}

std::vector<std::string_view> exporter_names() {
  std::vector<std::string_view> names;
  for (const Exporter& exporter : exporters()) names.push_back(exporter.name);
  return names;
}

const Exporter& exporter(std::string_view name) {
  std::string known;
  for (const Exporter& exporter : exporters()) {
    if (exporter.name == name) return exporter;
    known += (known.empty() ? "" : ", ") + std::string(exporter.name);
  }
  throw Error({"export format", "one of " + known, std::string(name), ""}, ExitCode::usage);
}

const Exporter& exporter_of(const ExportFiles& files) {
  if (!files.metadata.empty()) return exporter("gguf");
  if (files.texts.contains("hf_quant_config.json")) return exporter("modelopt");
  OrderedJson config = parse_text(files, "config.json");
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || quantization->is_null()) return exporter("dense");
  const OrderedJson named = quantization->is_object() ? (*quantization)["quant_method"] : OrderedJson();
  const std::string method = named.is_string() ? named.get<std::string>() : "";
  if (method.starts_with("modelopt")) return exporter("modelopt");
  if (method == "compressed-tensors") return exporter("compressed_tensors");
  throw Error({"config.json: quantization_config", "quant_method modelopt or compressed-tensors",
               method.empty() ? "none" : method, "other quantized checkpoints can't be read"});
}

}  // namespace qad
