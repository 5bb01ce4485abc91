#include "models/families/generation_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "autograd/base/warn_once.h"
#include "data/files/json_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostIds = std::int64_t{1} << 31;

double number(const Json& json, const char* key, double otherwise, const std::string& who) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return otherwise;
  if (!found->is_number())
    throw Error({.who = who, .expected = std::string("a number for ") + key, .got = found->dump()});
  return found->get<double>();
}

// Keys that change what transformers writes, each with the value that changes nothing besides null, false and an empty
// list; from its GenerationConfig.
const std::map<std::string, double>& keys_without_effect_here() {
  static const std::map<std::string, double> keys = {
      {"assistant_ensemble_weight", 0},
      {"bad_words_ids", 0},
      {"begin_suppress_tokens", 0},
      {"constraints", 0},
      {"diversity_penalty", 0},
      {"dola_layers", 0},
      {"encoder_repetition_penalty", 1},
      {"exponential_decay_length_penalty", 0},
      {"force_words_ids", 0},
      {"forced_bos_token_id", -1},
      {"forced_decoder_ids", 0},
      {"forced_eos_token_id", -1},
      {"guidance_scale", 1},
      {"max_time", 0},
      {"min_length", 0},
      {"min_new_tokens", 0},
      {"no_repeat_ngram_size", 0},
      {"num_beam_groups", 1},
      {"num_beams", 1},
      {"num_return_sequences", 1},
      {"penalty_alpha", 0},
      {"repetition_penalty", 1},
      {"sequence_bias", 0},
      {"stop_strings", 0},
      {"suppress_tokens", 0},
      {"token_healing", 0},
      {"watermarking_config", 0},
  };
  return keys;
}
// Those that only sampling asks for.
const std::map<std::string, double>& keys_of_sampling() {
  static const std::map<std::string, double> keys = {
      {"epsilon_cutoff", 0}, {"eta_cutoff", 0}, {"min_p", 0}, {"top_h", 0}, {"typical_p", 1}};
  return keys;
}

void add_ignored(const Json& json, const std::map<std::string, double>& keys, std::vector<std::string>& ignored) {
  for (const auto& [key, plain] : keys) {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null() || *found == false || *found == plain) continue;
    if ((found->is_structured() || found->is_string()) && found->empty()) continue;
    ignored.push_back(fmt::format("{} {}", key, found->dump().substr(0, 40)));
  }
}

}  // namespace

void use_end_tokens(const std::string& generation_config, const std::string& who, ModelConfig& config) {
  Json ends = parse_python_object(generation_config, who).value("eos_token_id", Json());
  if (ends.is_null()) ends = Json::array();
  if (!ends.is_array()) ends = Json::array({ends});
  std::vector<std::int64_t> ids;
  for (const Json& end : ends) {
    const double id = end.is_number() ? end.get<double>() : 0.5;
    if (id != std::floor(id) || id >= static_cast<double>(kMostIds))
      throw Error({.who = who, .expected = "an eos_token_id of one id, a list of them or null", .got = ends.dump()});
    if (id >= 0) ids.push_back(static_cast<std::int64_t>(id));  // a negative one never comes
  }
  if (ids.empty() && !config.eos_token_id.empty())
    warn_once(
        fmt::format("{} names no eos_token_id: as in transformers, nothing but its length ends a text, whatever "
                    "config.json says ({})",
                    who, fmt::join(config.eos_token_id, ", ")));
  config.eos_token_id = std::move(ids);
}

GenerationSettings read_generation_settings(const fs::path& folder) {
  fs::path file = folder / "generation_config.json";
  if (!fs::is_regular_file(file)) file = folder / "config.json";
  GenerationSettings settings;
  if (!fs::is_regular_file(file)) return settings;
  const std::string who = file.string();
  const Json json = parse_python_object(read_file(file, "a model's generation settings"), who);
  const Json samples = json.value("do_sample", Json());
  if (!samples.is_null() && !samples.is_boolean())
    throw Error({.who = who, .expected = "true or false for do_sample", .got = samples.dump()});
  settings.samples = samples == true;
  if (settings.samples) {
    settings.temperature = number(json, "temperature", settings.temperature, who);
    settings.top_p = number(json, "top_p", settings.top_p, who);
    const double top_k = number(json, "top_k", static_cast<double>(settings.top_k), who);
    if (!(settings.temperature > 0) || !(settings.top_p >= 0 && settings.top_p <= 1) || !(top_k >= 0) ||
        top_k != std::floor(top_k) || top_k >= static_cast<double>(kMostIds))
      throw Error({.who = who,
                   .expected = "temperature above 0, top_k from 0, top_p from 0 to 1",
                   .got = fmt::format("{}, {}, {}", settings.temperature, top_k, settings.top_p)});
    settings.top_k = static_cast<std::int64_t>(top_k);
    add_ignored(json, keys_of_sampling(), settings.ignored);
  }
  add_ignored(json, keys_without_effect_here(), settings.ignored);
  return settings;
}

}  // namespace qad
