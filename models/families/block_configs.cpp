#include "models/families/block_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "autograd/base/error.h"

namespace qad {
namespace {

using Json = ConfigReader::Json;

// Feed-forward widths are told as multiples: the width for a multiple of 1 is 2/3 of the hidden size, and all are
// rounded up to a multiple of 256.
constexpr std::int64_t kWidthMultiple = 256;

std::int64_t width_of(double ffn_mult, std::int64_t hidden_size) {
  const auto width = static_cast<std::int64_t>(2.0 * ffn_mult * static_cast<double>(hidden_size) / 3.0);
  return (width + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple;
}

// A layer's attention, or its feed-forward layer; no object at all is one that says nothing.
ConfigReader part_of(const Json& part, const std::string& who) {
  const ConfigReader reader(part, who);
  for (const char* key : {"sparsify", "window_length", "num_sink_tokens", "moe", "mamba", "llama4", "hidden_act"}) {
    if (!reader.says(key) || reader.at(key) == false) continue;
    if (std::string_view(key) == "hidden_act" && (reader.at(key) == "silu" || reader.at(key) == "swish")) continue;
    reader.refuse(key, fmt::format("{} not to be there", key), "blocks with it are not supported");
  }
  return reader;
}

std::int64_t key_value_heads(const ConfigReader& attention, std::int64_t heads) {
  const std::int64_t group = attention.whole("n_heads_in_group", 0, 0);
  if (group == 0 || heads % group != 0)
    attention.refuse("n_heads_in_group", "n_heads_in_group that divides num_attention_heads");
  if (attention.whole("num_key_value_heads", heads / group, 1) != heads / group)
    attention.refuse("num_key_value_heads", fmt::format("{} key/value heads, as n_heads_in_group says", heads / group));
  return heads / group;
}

std::int64_t feed_forward_width(const ConfigReader& ffn, std::int64_t hidden_size) {
  if (!ffn.says("ffn_mult") && ffn.says("intermediate_size")) return ffn.whole("intermediate_size", 0, 1);
  const double multiple = ffn.above(0, "ffn_mult", 0);
  if (multiple == 0 || multiple >= 1024.0) ffn.refuse("ffn_mult", "ffn_mult above 0 and below 1024");
  const std::int64_t width = width_of(multiple, hidden_size);
  if (ffn.whole("intermediate_size", width, 1) != width)
    ffn.refuse("intermediate_size", fmt::format("an intermediate_size of {}, as ffn_mult says", width));
  return width;
}

BlockConfig read_block(const Json& json, const std::string& who, const ModelConfig& config) {
  if (!json.is_object()) throw Error({.who = who, .expected = "an object", .got = one_line(json)});
  const ConfigReader block(json, who);
  const Json attention_json = block.object("attention"), ffn_json = block.object("ffn");
  const ConfigReader attention = part_of(attention_json, who + ": attention"), ffn = part_of(ffn_json, who + ": ffn");
  for (const ConfigReader* part : {&attention, &ffn})
    if (part->flag("no_op", false) && part->flag("replace_with_linear", false))
      part->refuse("replace_with_linear", "no_op or replace_with_linear, not both");
  BlockConfig result;
  result.linear_attention = attention.flag("replace_with_linear", false);
  result.linear_feed_forward = ffn.flag("replace_with_linear", false);
  if (!attention.flag("no_op", false) && !result.linear_attention)
    result.num_key_value_heads = key_value_heads(attention, config.num_attention_heads);
  if (!ffn.flag("no_op", false) && !result.linear_feed_forward)
    result.intermediate_size = feed_forward_width(ffn, config.hidden_size);
  return result;
}

}  // namespace

void read_blocks(const ConfigReader& config_json, ModelConfig& config) {
  if (!config_json.says("block_configs")) config_json.refuse("block_configs", "the key block_configs");
  for (const Json& block : config_json.list("block_configs"))
    config.blocks.push_back(
        read_block(block, fmt::format("{}: block_configs[{}]", config_json.who(), config.blocks.size()), config));
  config.num_key_value_heads = config.intermediate_size = 0;
  for (const BlockConfig& block : config.blocks) {
    config.num_key_value_heads = std::max(config.num_key_value_heads, block.num_key_value_heads);
    config.intermediate_size = std::max(config.intermediate_size, block.intermediate_size);
  }
  if (config.num_key_value_heads == 0 || config.intermediate_size == 0)
    throw Error({.who = config_json.who(),
                 .expected = "a block with attention and one with a feed-forward layer",
                 .got = "none"});
  config.check(config_json.who());
  const BlockConfig all = {config.num_key_value_heads, config.intermediate_size};
  if (std::ranges::all_of(config.blocks, [&](const BlockConfig& block) { return block == all; })) config.blocks.clear();
}

void refuse_blocks(const ConfigReader& config_json, const ModelConfig& config) {
  if (config_json.has("block_configs") && !config_json.at("block_configs").empty())
    throw Error({.who = config_json.who(),
                 .expected = "block_configs not to be there",
                 .got = "model_type " + config.model_type,
                 .hint = "it is nemotron-nas that has them"});
}

void write_blocks(const ModelConfig& config, Json& config_json) {
  Json blocks = Json::array();
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const BlockConfig block = config.block(i);
    Json attention = {{"n_heads_in_group", nullptr}, {"no_op", true}}, ffn = {{"ffn_mult", nullptr}, {"no_op", true}};
    if (block.num_key_value_heads > 0)
      attention = {{"n_heads_in_group", config.num_attention_heads / block.num_key_value_heads}, {"no_op", false}};
    if (block.intermediate_size > 0) {
      const double multiple =
          1.5 * static_cast<double>(block.intermediate_size) / static_cast<double>(config.hidden_size);
      ffn = {{"ffn_mult", multiple}, {"no_op", false}};
      if (width_of(multiple, config.hidden_size) != block.intermediate_size)
        ffn = {{"ffn_mult", nullptr}, {"no_op", false}, {"intermediate_size", block.intermediate_size}};
    }
    if (block.linear_attention) attention["no_op"] = false;
    if (block.linear_feed_forward) ffn["no_op"] = false;
    attention["replace_with_linear"] = block.linear_attention;
    ffn["replace_with_linear"] = block.linear_feed_forward;
    blocks.push_back({{"attention", attention}, {"ffn", ffn}});
  }
  config_json["block_configs"] = std::move(blocks);
  config_json["intermediate_size"] = config_json["num_key_value_heads"] = nullptr;
}

}  // namespace qad
