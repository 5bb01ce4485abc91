// Which class transformers' AutoTokenizer (5.24) opens a folder with, and what such a class brings of its own: tokens
// for roles of which no file speaks, and stages that take the place of those in tokenizer.json.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qad {

struct TokensBeside;

/// Without Fast; empty: the one that takes a tokenizer.json as it is. `family` is config.json's model_type, `said` what
/// the files name.
[[nodiscard]] std::string tokenizer_class_of(std::string_view family, std::string said, bool byte_level);

/// Tokens by name where the files say nothing of that name; no text: none, whatever else might give one.
[[nodiscard]] std::vector<std::pair<std::string, std::optional<std::string>>> tokens_of_class(std::string_view name);

/// Whether it makes a tokenizer anew, of a tokenizer.json's vocabulary, merges and template alone. Tokens that the file
/// adds then come only through the files beside it.
[[nodiscard]] bool brings_stages(std::string_view name);
/// What it puts in the place of parts of tokenizer.json, by its keys; null if nothing.
[[nodiscard]] nlohmann::json stages_of_class(const TokensBeside& beside);
/// Does so.
void put_stages(const nlohmann::json& stages, nlohmann::json& tokenizer_json);

}  // namespace qad
