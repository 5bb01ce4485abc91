#include "data/tokenizer/tokenizer_class.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "data/tokenizer/tokens_beside.h"

namespace qad {
namespace {

using Json = nlohmann::json;

constexpr const char* kEndOfText = "<|endoftext|>";

// TOKENIZER_MAPPING_NAMES and MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS of transformers. Families that are not here
// have no class of their own.
struct FamilyClass {
  std::string_view family, name;
  bool whatever_is_said = false;
};
constexpr auto kFamilies = std::to_array<FamilyClass>({
    {"kimi_linear", "", true},
    {"mamba2", "GPTNeoXTokenizer"},
    {"mistral", "", true},
    {"mixtral", "", true},
    {"qwen2", "Qwen2Tokenizer", true},
    {"qwen3", "Qwen2Tokenizer"},
    {"qwen3_5", "Qwen3_5Tokenizer", true},
    {"qwen3_5_moe", "Qwen3_5Tokenizer", true},
    {"qwen3_5_moe_text", "Qwen3_5Tokenizer", true},
    {"qwen3_5_text", "Qwen3_5Tokenizer"},
    {"qwen3_moe", "Qwen2Tokenizer"},
    {"qwen3_next", "Qwen2Tokenizer"},
});

#define QAD_BEFORE_LETTERS R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?)"
#define QAD_AFTER_SYMBOLS R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
constexpr const char* kQwen2Pattern = QAD_BEFORE_LETTERS R"(\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+)" QAD_AFTER_SYMBOLS;
constexpr const char* kQwen35Pattern =
    QAD_BEFORE_LETTERS R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+)" QAD_AFTER_SYMBOLS;
#undef QAD_BEFORE_LETTERS
#undef QAD_AFTER_SYMBOLS

void add_byte_stages(const TokensBeside& beside, Json& stages) {
  const std::string& name = beside.tokenizer_class;
  Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", beside.add_prefix_space.value_or(false)}};
  stages["decoder"] = {{"type", "ByteLevel"}};
  if (name != "GPT2Tokenizer") stages["normalizer"] = {{"type", "NFC"}};
  bytes["use_regex"] = !name.starts_with("Qwen");
  stages["pre_tokenizer"] = bytes;
  if (!name.starts_with("Qwen")) return;
  const Json regex = {{"Regex", name == "Qwen2Tokenizer" ? kQwen2Pattern : kQwen35Pattern}};
  const Json split = {{"type", "Split"}, {"pattern", regex}, {"behavior", "Isolated"}};
  stages["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
}

}  // namespace

std::string tokenizer_class_of(std::string_view family, std::string said, bool byte_level) {
  const auto* const known = std::ranges::find(kFamilies, family, &FamilyClass::family);
  const FamilyClass of_family = known == kFamilies.end() ? FamilyClass{} : *known;
  if (said.empty() || of_family.whatever_is_said) return std::string(of_family.name);
  if (said.ends_with("Fast")) said.resize(said.size() - 4);
  const bool plain = said == "PreTrainedTokenizer" || said == "TokenizersBackend";
  // Llama 3 says so beside a vocabulary of bytes, which the class would spoil.
  return plain || (said == "LlamaTokenizer" && byte_level) ? "" : said;
}

std::vector<std::pair<std::string, std::optional<std::string>>> tokens_of_class(std::string_view name) {
  if (name == "GPT2Tokenizer")
    return {
        {"unk_token", kEndOfText}, {"bos_token", kEndOfText}, {"eos_token", kEndOfText}, {"pad_token", std::nullopt}};
  if (name == "GPTNeoXTokenizer")
    return {
        {"unk_token", kEndOfText}, {"bos_token", kEndOfText}, {"eos_token", kEndOfText}, {"pad_token", "<|padding|>"}};
  if (name == "Qwen2Tokenizer" || name == "Qwen3_5Tokenizer")
    return {{"unk_token", kEndOfText}, {"eos_token", kEndOfText}, {"pad_token", kEndOfText}};
  if (name == "LlamaTokenizer") return {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
  if (name == "CodeLlamaTokenizer")
    return {{"unk_token", "<unk>"},          {"bos_token", "<s>"},
            {"eos_token", "</s>"},           {"prefix_token", "\u2581<PRE>"},
            {"middle_token", "\u2581<MID>"}, {"suffix_token", "\u2581<SUF>"},
            {"eot_token", "\u2581<EOT>"},    {"fill_token", "<FILL_ME>"}};
  return {};
}

Json stages_of_class(const TokensBeside& beside) {
  Json stages = {{"normalizer", nullptr}};
  add_byte_stages(beside, stages);
  return stages;
}

}  // namespace qad
