#include "models/families/hf_rope.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"
#include "models/layers/rotary.h"

namespace qad {
namespace {

using Json = ConfigReader::Json;
using Names = std::vector<std::string_view>;

constexpr const char* kOriginal = "original_max_position_embeddings";

// A rule and the keys of its section; all have rope_type (once "type") and rope_theta.
struct Rule {
  RopeScalingKind kind;
  Names needs, may_have;
};
const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {RopeScalingKind::none, {}, {kOriginal}},
      {RopeScalingKind::linear, {"factor"}, {kOriginal}},
      {RopeScalingKind::dynamic, {"factor"}, {kOriginal}},
      {RopeScalingKind::yarn,
       {"factor"},
       {kOriginal, "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate", "finetuned"}},
      {RopeScalingKind::llama3, {"factor", "low_freq_factor", "high_freq_factor"}, {kOriginal}}};
  return all;
}

const Rule& rule_of(const ConfigReader& section) {
  for (const char* key : {"rope_type", "type"})
    if (section.has(key) && section.at(key).is_null()) section.refuse(key, fmt::format("a name for {}", key));
  const std::string type = section.text("rope_type", section.text("type", "default"));
  if (const std::string old = section.text("type", type); old != type)
    throw Error(
        {.who = section.who(), .expected = "rope_type and type to agree", .got = fmt::format("{} and {}", type, old)});
  for (const Rule& rule : rules())
    if (enum_name(rule.kind) == type) return rule;
  Names known;
  for (const Rule& rule : rules()) known.push_back(enum_name(rule.kind));
  throw Error({.who = section.who(),
               .expected = fmt::format("a rope_type among {}", fmt::join(known, ", ")),
               .got = type,
               .hint = "other scalings are not supported"});
}

bool is_among(std::string_view name, const Names& names) { return std::ranges::find(names, name) != names.end(); }

// Every key is one that the rule reads, or has the value that changes nothing.
void check_keys(const ConfigReader& section, const Json& json, const Rule& rule, const ModelConfig& config) {
  for (const std::string_view key : rule.needs)
    if (!section.has(key)) section.refuse(key, fmt::format("the key {} for {}", key, enum_name(rule.kind)));
  static const Names common = {"rope_type", "type", "rope_theta"};
  static const Names neutral_at_1 = {"partial_rotary_factor", "factor", "attention_factor"};
  for (const auto& [key, value] : json.items()) {
    if (key == "partial_rotary_factor" && value.is_number() && value == config.partial_rotary_factor) continue;
    if (value.is_null() || is_among(key, common) || is_among(key, rule.needs) || is_among(key, rule.may_have)) continue;
    if (is_among(key, neutral_at_1)) {
      if (value.is_number() && value == 1) continue;
      section.refuse(key, key + " to be 1", fmt::format("rope_type {} does not read it", enum_name(rule.kind)));
    }
    section.refuse(key, fmt::format("no {} beside rope_type {}", key, enum_name(rule.kind)),
                   "it may change what the model computes, and is not supported");
  }
}

// The context before the stretch: as in transformers, of the section, of the config, or the model's whole one.
std::int64_t original_context(const ConfigReader& section, const ConfigReader& config_json, std::int64_t context) {
  if (section.has(kOriginal) && !section.says(kOriginal))
    section.refuse(kOriginal, fmt::format("a number for {}", kOriginal));
  const std::int64_t outside = config_json.whole(kOriginal, 0, 1), inside = section.whole(kOriginal, outside, 1);
  if (outside > 0 && inside != outside)
    throw Error(
        {section.who(), fmt::format("{} as in the config, {}", kOriginal, outside), std::to_string(inside), ""});
  return inside > 0 ? inside : context;
}

// transformers: attention_factor, else from mscale and mscale_all_dim if both are there, else from the factor (our 0).
double attention_factor(const ConfigReader& section, double factor) {
  if (section.says("attention_factor")) return section.above(0, "attention_factor", 1);
  const double scale = section.at_least(0, "mscale", 0), all = section.at_least(0, "mscale_all_dim", 0);
  if (scale == 0 || all == 0 || scale == all) return scale == 0 || all == 0 ? 0.0 : 1.0;
  return (0.1 * scale * std::log(factor) + 1.0) / (0.1 * all * std::log(factor) + 1.0);
}

void read_yarn(const ConfigReader& section, double context, double theta, RopeScaling& scaling) {
  if (!section.says("factor")) {  // null
    scaling.factor = context / static_cast<double>(scaling.original_max_position_embeddings);
    if (scaling.factor < 1) section.refuse("factor", "a factor, where the context before is longer than the model's");
  }
  scaling.attention_factor = attention_factor(section, scaling.factor);
  // As in transformers, 0 is the default.
  if (const double fast = section.at_least(0, "beta_fast", 0); fast > 0) scaling.beta_fast = fast;
  if (const double slow = section.at_least(0, "beta_slow", 0); slow > 0) scaling.beta_slow = slow;
  if (scaling.beta_fast < scaling.beta_slow)
    section.refuse("beta_fast", fmt::format("beta_fast of at least beta_slow, {}", scaling.beta_slow));
  scaling.truncate = !section.has("truncate") || section.flag("truncate", false);
  if (theta <= 1)
    throw Error({.who = section.who(), .expected = "rope_theta above 1 for yarn", .got = fmt::format("{}", theta)});
}

struct Section {
  std::string name;
  double theta;
  RopeScaling scaling;
};

Section read_section(const char* name, const ConfigReader& config_json, const ModelConfig& config) {
  const Json json = config_json.object(name);
  const ConfigReader section(json, config_json.who() + ": " + name);
  const Rule& rule = rule_of(section);
  check_keys(section, json, rule, config);
  Section read{name, section.at_least(1, "rope_theta", config.rope_theta), {}};
  if (section.has("rope_theta") && !section.says("rope_theta")) section.refuse("rope_theta", "a number for rope_theta");
  if (section.says("rope_theta") && config_json.says("rope_theta") && read.theta != config.rope_theta)
    throw Error({.who = section.who(),
                 .expected = fmt::format("rope_theta as in the config, {}", config.rope_theta),
                 .got = fmt::format("{}", read.theta),
                 .hint = "which one is meant?"});
  if (rule.kind == RopeScalingKind::none) return read;

  RopeScaling& scaling = read.scaling;
  scaling.rope_type = rule.kind;
  scaling.factor = section.at_least(1, "factor", 1);
  if (rule.kind != RopeScalingKind::yarn && !section.says("factor")) section.refuse("factor", "a number for factor");
  const std::int64_t context = config.max_position_embeddings;
  if (rule.kind == RopeScalingKind::dynamic && section.whole(kOriginal, context, 1) != context)
    section.refuse(kOriginal, fmt::format("{} as max_position_embeddings, {}", kOriginal, context),
                   "readers differ in which of the two rope_type dynamic starts from");
  if (rule.kind == RopeScalingKind::yarn || rule.kind == RopeScalingKind::llama3)
    scaling.original_max_position_embeddings = original_context(section, config_json, context);
  if (rule.kind == RopeScalingKind::yarn) read_yarn(section, static_cast<double>(context), read.theta, scaling);
  if (rule.kind == RopeScalingKind::yarn && config.latent_attention)
    scaling.mscale_all_dim = section.at_least(0, "mscale_all_dim", 0);
  if (rule.kind == RopeScalingKind::llama3) {
    scaling.low_freq_factor = section.above(0, "low_freq_factor", 0);
    scaling.high_freq_factor = section.above(scaling.low_freq_factor, "high_freq_factor", 0);
    for (const char* key : {"low_freq_factor", "high_freq_factor"})
      if (!section.says(key)) section.refuse(key, fmt::format("a number for {}", key));
  }
  return read;
}

// Numbers that are each in range may still make none together (yarn with a rope_theta next to 1).
void check_frequencies(const ModelConfig& config, const std::string& who) {
  for (const std::int64_t i : {std::int64_t{0}, config.rotary_width() / 2 - 1})
    if (!std::isfinite(rotary_frequency(config, i)))
      throw Error({.who = who, .expected = "rotary frequencies from rope_theta and its scaling", .got = "no number"});
}

}  // namespace

void read_rope(const ConfigReader& config_json, ModelConfig& config) {
  config.rope_theta = config_json.at_least(1, "rope_theta", config.rope_theta);
  std::vector<Section> sections;
  for (const char* name : {"rope_scaling", "rope_parameters"})
    if (!config_json.object(name).empty()) sections.push_back(read_section(name, config_json, config));
  if (sections.size() == 2 && (sections[0].theta != sections[1].theta || sections[0].scaling != sections[1].scaling))
    throw Error(
        {.who = config_json.who(),
         .expected = "rope_scaling and rope_parameters that agree",
         .got = one_line(config_json.at("rope_scaling")) + " and " + one_line(config_json.at("rope_parameters")),
         .hint = "remove the one that is not meant"});
  if (sections.empty()) return;
  config.rope_theta = sections.front().theta;
  config.rope_scaling = sections.front().scaling;
  check_frequencies(config, config_json.who());
}

void write_rope(const ModelConfig& config, Json& config_json) {
  config_json["rope_theta"] = config.rope_theta;
  config_json["rope_scaling"] = nullptr;
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.rope_type == RopeScalingKind::none) return;
  Json section = {
      {"rope_type", enum_name(scaling.rope_type)}, {"rope_theta", config.rope_theta}, {"factor", scaling.factor}};
  if (scaling.rope_type == RopeScalingKind::llama3) {
    section["low_freq_factor"] = scaling.low_freq_factor;
    section["high_freq_factor"] = scaling.high_freq_factor;
  }
  if (scaling.rope_type == RopeScalingKind::yarn) {
    if (scaling.attention_factor > 0) section["attention_factor"] = scaling.attention_factor;
    section["beta_fast"] = scaling.beta_fast;
    section["beta_slow"] = scaling.beta_slow;
    if (!scaling.truncate) section["truncate"] = false;
    if (scaling.mscale_all_dim > 0) section["mscale_all_dim"] = scaling.mscale_all_dim;
  }
  if (scaling.rope_type == RopeScalingKind::llama3 || scaling.rope_type == RopeScalingKind::yarn)
    section[kOriginal] = scaling.original_max_position_embeddings;
  config_json["rope_scaling"] = std::move(section);
}

}  // namespace qad
