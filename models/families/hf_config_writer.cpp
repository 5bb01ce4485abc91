// The other direction of models/families/hf_config.cpp: a ModelConfig as config.json, and whether one can say it.
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/families/common_keys.h"
#include "models/families/hf_config.h"
#include "models/families/registry.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

// "none" for what is not there.
std::string words(const Json& value) { return value.is_null() ? "none" : value.is_object() ? "some" : value.dump(); }

// Throws for the first key at which they differ, of those inside of it where both have them.
void check_same(const Json& wanted, const Json& read_back, const std::string& within, const ModelConfig& config,
                const std::string& who) {
  for (const auto& [key, value] : wanted.items()) {
    const Json& other = read_back[key];
    if (value == other) continue;
    if (value.is_object() && other.is_object()) check_same(value, other, within + key + ".", config, who);
    throw Error({.who = who,
                 .expected = within + key + " " + words(other) + " for model_type " + config.model_type,
                 .got = words(value),
                 .hint = "its config.json cannot say that"});
  }
}

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
  const ModelConfig parsed = parse_hf_config(to_hf_config(config, "bfloat16"), who);
  if (parsed.blocks != config.blocks)
    throw Error({.who = who,
                 .expected = "feed-forward widths that are multiples of 256",
                 .got = "others",
                 .hint = "its config.json cannot say that"});
  check_same(fields_of(config), fields_of(parsed), "", config, who);
}

std::string generation_config(const ModelConfig& config) {
  Json json;
  json["_from_model_config"] = true;
  write_special_tokens(config, json);
  return json.dump(2) + "\n";
}

}  // namespace qad
