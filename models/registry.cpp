#include "models/registry.h"

#include <map>
#include <string>

#include "autograd/core/error.h"
#include "models/llama/llama.h"

namespace qad {

std::unique_ptr<LanguageModel> make_model(const ModelConfig& config, const ParameterMaker& make) {
  using Maker = std::unique_ptr<LanguageModel> (*)(const ModelConfig&, const ParameterMaker&);
  static const std::map<std::string, Maker> families = {{"llama", make_llama},
                                                        {"mistral", make_llama},
                                                        {"qwen2", make_llama},
                                                        {"qwen3", make_llama},
                                                        {"nemotron-nas", make_llama}};
  const auto family = families.find(config.model_type);
  if (family == families.end()) {
    std::string known;
    for (const auto& [name, maker] : families) known += (known.empty() ? "" : ", ") + name;
    throw Error({"model_type", "one of " + known, "'" + config.model_type + "'", ""});
  }
  return family->second(config, make);
}

}  // namespace qad
