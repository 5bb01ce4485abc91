// The other direction of models/families/hf_config.cpp: a ModelConfig as config.json, and whether one can say it.
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/families/common_keys.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string to_hf_config(const ModelConfig& config, const std::string& torch_dtype) {
  const Family& family = family_of(config.model_type, "model");
  Json json;
  json["architectures"] = {family.architecture};
  json["model_type"] = config.model_type;
  family.write(config, json);
  json["torch_dtype"] = torch_dtype;
  json["use_cache"] = true;
  return json.dump(2) + "\n";
}

void check_expressible(const ModelConfig& config, const std::string& who) {
  static_cast<void>(family_of(config.model_type, who));
  config.check(who);
  const Json wanted = fields_of(config);
  const ModelConfig parsed = parse_hf_config(to_hf_config(config, "bfloat16"), who);
  const Json read_back = fields_of(parsed);
  if (parsed.blocks != config.blocks)
    throw Error({.who = who,
                 .expected = "feed-forward widths that are multiples of 256",
                 .got = "others",
                 .hint = "its config.json cannot say that"});
  for (const auto& [key, value] : wanted.items())
    if (value != read_back[key])
      throw Error({.who = who,
                   .expected = key + " " + read_back[key].dump() + " for model_type " + config.model_type,
                   .got = value.dump(),
                   .hint = "its config.json cannot say that"});
}

std::string generation_config(const ModelConfig& config) {
  Json json;
  json["_from_model_config"] = true;
  write_special_tokens(config, json);
  return json.dump(2) + "\n";
}

}  // namespace qad
