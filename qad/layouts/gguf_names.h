// Names of modules at the Hugging Face hub and in GGUF, each in the other language.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "models/families/gguf_family.h"

namespace qad {

/// What names of layers begin with there.
inline constexpr std::string_view kGgufBlocks = "blk.";

/// A module by its name in the other language.
struct GgufModule {
  std::string name;
  bool linear = false, wide = false;
  std::int64_t expert = -1;  ///< whose part of the tensor of that name it is; -1: the tensor is the module's alone
};
/// All experts of a layer have one name there. Both throw for a module that the architecture lacks.
[[nodiscard]] GgufModule to_gguf(const GgufFamily& family, const std::string& module);
/// A stack of experts has a * for their number.
[[nodiscard]] GgufModule from_gguf(const GgufFamily& family, const std::string& module);
[[nodiscard]] bool is_stack(const std::string& module);
[[nodiscard]] std::string with_expert(const std::string& stack, std::int64_t expert);

/// A tensor that has a name or a form of its own, by its name in the other language.
struct GgufTensorName {
  std::string name;
  const GgufTensor* tensor = nullptr;  ///< null: the name of its module says all
};
[[nodiscard]] GgufTensorName to_gguf_tensor(const GgufFamily& family, const std::string& tensor);
[[nodiscard]] GgufTensorName from_gguf_tensor(const GgufFamily& family, const std::string& tensor);

/// "a.b.weight" -> "a.b", "weight"
[[nodiscard]] std::pair<std::string, std::string> split_kind(const std::string& tensor);

/// The model_type of every family with a place in GGUF: "llama, mistral or qwen2".
[[nodiscard]] std::string families_in_gguf();

}  // namespace qad
