#include "qad/layouts/registry.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "autograd/base/error.h"
#include "qad/layouts/bitsandbytes.h"
#include "qad/layouts/compressed_tensors.h"
#include "qad/layouts/dense.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/layout_files.h"
#include "qad/layouts/modelopt.h"

namespace qad {

std::span<const Exporter> exporters() {
  static constexpr auto kTable = std::to_array<Exporter>({
      {.name = "modelopt",
       .help = "packed codes for TensorRT-LLM, vLLM and SGLang",
       .pack_tensors = pack_modelopt_tensors,
       .pack_texts = pack_modelopt_texts,
       .unpack = unpack_modelopt,
       .holds = holds_modelopt,
       .cache_format = kStoredCacheFormat,
       .streams = true},
      {.name = "compressed_tensors",
       .help = "packed codes for vLLM, SGLang and transformers",
       .pack_tensors = pack_compressed_tensors_tensors,
       .pack_texts = pack_compressed_tensors_texts,
       .unpack = unpack_compressed_tensors,
       .holds = holds_compressed_tensors,
       .refuse = refuse_compressed_tensors,
       .cache_format = kStoredCacheFormat,
       .streams = true},
      {.name = "dense",
       .help = "the same weights unpacked, for any reader",
       .pack_tensors = pack_dense_tensors,
       .pack_texts = pack_dense_texts,
       .unpack = unpack_dense,
       .holds = holds_dense,
       .stores_codes = false},
      {.name = "gguf",
       .help = "one file with everything, for llama.cpp",
       .pack_tensors = pack_gguf_tensors,
       .pack_texts = pack_gguf_texts,
       .unpack = unpack_gguf,
       .holds = holds_gguf,
       .refuse = refuse_gguf,
       .cache_format = kStoredCacheFormat,
       .holds_tokenizer = true,
       .holds_passengers = false,
       .check_tokenizer = check_gguf_tokenizer,
       .refuses_sizes = true,
       .streams = true},
      {.name = "bitsandbytes",
       .help = "NF4 for transformers with bitsandbytes",
       .pack_tensors = pack_bitsandbytes_tensors,
       .pack_texts = pack_bitsandbytes_texts,
       .unpack = unpack_bitsandbytes,
       .holds = holds_bitsandbytes,
       .refuse = refuse_bitsandbytes,
       .streams = true},
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
  throw Error({.who = "export format", .expected = "one of " + known, .got = std::string(name)}, ExitCode::usage);
}

const Exporter& exporter_of(const ExportFiles& files) {
  if (!files.metadata.empty()) return exporter("gguf");
  if (files.texts.contains("hf_quant_config.json")) return exporter("modelopt");
  OrderedJson config = parse_text(files, "config.json");
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || quantization->is_null()) return exporter("dense");
  const OrderedJson named = quantization->is_object() ? (*quantization)["quant_method"] : OrderedJson();
  const std::string method = named.is_string() ? named.get<std::string>() : "";
  if (method == "mxfp4") return exporter("dense");  // nothing is left of it once it is read
  if (method.starts_with("modelopt")) return exporter("modelopt");
  if (method == "compressed-tensors") return exporter("compressed_tensors");
  if (method == "bitsandbytes") return exporter("bitsandbytes");
  throw Error({.who = "config.json: quantization_config",
               .expected = "quant_method modelopt, compressed-tensors or bitsandbytes",
               .got = method.empty() ? "none" : method,
               .hint = "other quantized checkpoints can't be read"});
}

}  // namespace qad
