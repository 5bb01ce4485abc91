#include "qad/layouts/quantized_already.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/layout_files.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// null where there is no such file or no JSON object in it.
OrderedJson read_object(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};
  try {
    OrderedJson json = parse_python_json(read_file(file, "JSON"), file.string());
    return json.is_object() ? json : OrderedJson();
  } catch (const Error&) {
    return {};
  }
}

OrderedJson object_at(const OrderedJson& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_object() ? json[key] : OrderedJson();
}

// The first of these keys that has a text or a number.
std::string first_said(const OrderedJson& json, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (!json.contains(key)) continue;
    if (json[key].is_string()) return json[key].get<std::string>();
    if (json[key].is_number_integer()) return json[key].dump() + " bits";
  }
  return "";
}

std::string in_words(const OrderedJson& section, const std::string& method) {
  std::string kind = first_said(section, {"quant_algo", "format", "bnb_4bit_quant_type", "bits", "fmt"});
  std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return kind.empty() ? "by " + method : kind + " by " + method;
}

}  // namespace

std::string quantized_already(const fs::path& folder) {
  const OrderedJson config = read_object(folder / "config.json");
  for (const char* key : {"quantization_config", "compression_config"})
    if (const OrderedJson section = object_at(config, key); !section.empty()) {
      const std::string method = first_said(section, {"quant_method"});
      if (method == "mxfp4")
        return "";  // its values are BF16 numbers, and read as these (models/import/mxfp4_blocks.h)
      return in_words(section, method.empty() ? key : method);
    }
  if (const OrderedJson modelopt = read_object(folder / "hf_quant_config.json"); modelopt.is_object())
    return in_words(object_at(modelopt, "quantization"), "modelopt");
  std::error_code ignored;
  const auto has = [&](const char* name) { return fs::exists(folder / name, ignored); };
  const bool only_gguf = has(kGgufFile) && !has("model.safetensors") && !has("model.safetensors.index.json");
  return only_gguf ? "a GGUF file" : "";
}

}  // namespace qad
