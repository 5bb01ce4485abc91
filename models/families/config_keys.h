// The keys of a config.json that change what a model computes and that no code here stands for: each must be absent,
// null, or have a value that changes nothing. Anything else asks for another model than the one that would be read.
// Keys that transformers' class of the family does not know are ignored there, and here unless this table has them.
#pragma once

#include <span>
#include <string_view>

#include "models/families/config_reader.h"

namespace qad {

/// Throws, naming the key, unless it is among those that the family knows (Family::known_keys).
void check_keys(const ConfigReader& config_json, std::span<const std::string_view> known);
/// Throws if the weights beside the config are packed already: such a folder is read by qad/layouts.
void check_not_quantized(const ConfigReader& config_json);
/// What to do with a packed model where one in a floating type is wanted.
inline constexpr const char* kUnpackedHint =
    "start from the model that it was made of; eval and generate read qad's exports";

}  // namespace qad
