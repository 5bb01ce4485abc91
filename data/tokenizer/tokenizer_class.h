// Which class transformers' AutoTokenizer (5.24) opens a folder with, and what such a class brings of its own: tokens
// for roles of which no file speaks, and the stages of a folder without tokenizer.json.
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

/// The stages of a tokenizer.json of bytes that a class brings, by its keys: for folders with vocab.json and merges.txt
/// alone. A tokenizer.json stands as it is, as for transformers 4, `tokenizers` and the serving engines: what
/// transformers 5 puts in its place forgets SmolLM's cuts at digits and drops what Llama 2's layout calls unknown.
[[nodiscard]] nlohmann::json stages_of_class(const TokensBeside& beside);

}  // namespace qad
