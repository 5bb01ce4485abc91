#include "qad/inspect/inspect_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <string_view>

#include "data/files/gguf.h"
#include "data/files/mapped_file.h"
#include "data/files/safetensors.h"
#include "data/text/chat_template.h"
#include "data/tokenizer/tokenizer.h"
#include "models/families/hf_config.h"
#include "models/import/model_folder.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/inspect/tensor_table.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/quant/policy.h"
#include "qad/recipe/recipe.h"
#include "qad/report/facts.h"
#include "qad/report/format.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kScale = "scale/";  // how a run's state names its scales (qad/checkpoint/run_state.cpp)

void print_tensors(const std::vector<TensorLine>& tensors, std::ostream& print) {
  print << "\n" << tensor_table(tensors).text() << "\n" << dtype_table(tensors).text();
}

using Number = decltype(CheckpointContent::numbers)::mapped_type;

std::string text_of(const Number& number) {
  if (const auto* real = std::get_if<double>(&number)) return format_significant(*real, 6);
  return std::visit([](auto value) { return fmt::format("{}", value); }, number);
}

// Operands in rows, what is known of their scales in columns.
void print_scales(const CheckpointContent& content, std::ostream& print) {
  constexpr std::string_view kAmax = ".amax";
  Table table({{"scale of", Align::left}, {"amax"}, {"tensor scale"}, {"from", Align::left}});
  for (const auto& [name, amax] : content.numbers) {
    if (!name.starts_with(kScale) || !name.ends_with(kAmax)) continue;
    const std::string operand = name.substr(0, name.size() - kAmax.size());
    const auto value = content.numbers.find(operand + ".tensor_scale");
    const auto follows = content.numbers.find(operand + ".follows_data");
    const bool whole = value != content.numbers.end() && follows != content.numbers.end();
    table.add_row({operand.substr(kScale.size()), text_of(amax), whole ? text_of(value->second) : "",
                   !whole                            ? ""
                   : text_of(follows->second) == "0" ? "calibration"
                                                     : "data"});
  }
  if (!table.rows().empty()) print << "\n" << table.text();
}

struct ExportedWeights {
  double values = 0, bits = 0;
};

// Quantized layers of a packed export, those alike in one row; all its weights are counted.
Table export_table(const ExportModel& model, ExportedWeights& weights) {
  struct Row {
    std::vector<std::string> cells;
    std::int64_t count;
  };
  std::vector<Row> rows;
  std::map<std::vector<std::string>, std::size_t> row_of;
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const QuantizedTensor& weight = *linear.weight;
    const double bits = weight.format->bits_per_weight(weight.cols);
    weights.values += static_cast<double>(weight.rows * weight.cols);
    weights.bits += bits * static_cast<double>(weight.rows * weight.cols);
    std::vector<std::string> cells = {pattern_of(linear.name),
                                      "",
                                      Shape{weight.rows, weight.cols}.text(),
                                      std::string(weight.format->name),
                                      std::string(name_of(linear.input ? linear.input->format : nullptr)),
                                      format_significant(bits)};
    const auto [place, is_new] = row_of.try_emplace(cells, rows.size());
    if (is_new) rows.push_back({std::move(cells), 1});
    else ++rows[place->second].count;
  }
  for (const NamedTensor& tensor : model.dense) {
    weights.values += static_cast<double>(tensor.value.size());
    weights.bits += 8 * static_cast<double>(tensor.value.bytes());
  }
  Table table({{"quantized layers", Align::left},
               {"count"},
               {"shape", Align::left},
               {"weights", Align::left},
               {"inputs", Align::left},
               {"bits a weight"}});
  for (Row& row : rows) {
    row.cells[1] = std::to_string(row.count);
    table.add_row(std::move(row.cells));
  }
  return table;
}

std::string text_of(const ExportedWeights& weights) {
  return fmt::format("{:.0f}, {} bits each", weights.values, format_significant(weights.bits / weights.values));
}

// Lists by their length, long texts by their start.
std::string text_of(const GgufValue& value) {
  return std::visit(
      [](const auto& one) -> std::string {
        using T = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<T, bool>) return one ? "true" : "false";
        else if constexpr (std::is_same_v<T, std::string>)
          return one.substr(0, std::min(one.find('\n'), std::size_t{80}));
        else if constexpr (std::is_arithmetic_v<T>) return format_significant(static_cast<double>(one), 6);
        else return fmt::format("{} values", one.size());
      },
      value);
}

std::vector<TensorLine> tensor_lines(const GgufContents& contents) {
  std::vector<TensorLine> lines;
  for (const GgufInfo& info : contents.tensors)
    lines.push_back(
        tensor_line({info.name, std::string(info.type->name), info.shape, info.begin, info.begin + info.bytes}));
  return lines;
}

std::vector<Fact> config_facts(const ModelConfig& config) {
  const auto without = [&](std::int64_t BlockConfig::*part) { return std::ranges::count(config.blocks, 0, part); };
  std::string layers = std::to_string(config.num_hidden_layers);
  if (!config.blocks.empty())
    layers += fmt::format(" that differ, {} without attention, {} without feed-forward",
                          without(&BlockConfig::num_key_value_heads), without(&BlockConfig::intermediate_size));
  if (!config.layer_pattern.empty()) layers += ": " + config.layer_pattern;
  std::string heads = fmt::format("{} of {}, {} for keys and values", config.num_attention_heads, config.head_size(),
                                  config.num_key_value_heads);
  if (const auto& latent = config.latent_attention)
    heads = fmt::format("{} of {} and {} with positions, values of {}; latent {}", config.num_attention_heads,
                        latent->qk_nope_head_dim, latent->qk_rope_head_dim, latent->v_head_dim, latent->kv_lora_rank);
  std::vector<Fact> facts = {{"family", config.model_type},
                             {"layers", layers},
                             {"hidden size", std::to_string(config.hidden_size)},
                             {"feed-forward", std::to_string(config.intermediate_size)}};
  if (config.has_attention()) facts.push_back({"heads", heads});
  if (const auto& mamba = config.mamba)
    facts.push_back({"Mamba-2", fmt::format("{} heads of {} in {} groups, state {}", mamba->num_heads, mamba->head_dim,
                                            mamba->n_groups, mamba->state_size)});
  if (const auto& linear = config.linear_attention)
    facts.push_back(
        {"linear attention", fmt::format("{} heads of {}, {} of {} for values", linear->num_key_heads,
                                         linear->key_head_dim, linear->num_value_heads, linear->value_head_dim)});
  if (const auto& experts = config.experts)
    facts.push_back({"experts", fmt::format("{} of {}, {} a token", experts->num_experts,
                                            experts->moe_intermediate_size, experts->num_experts_per_tok)});
  facts.insert(
      facts.end(),
      {{"vocabulary", fmt::format("{}, {} head", config.vocab_size, config.tie_word_embeddings ? "tied" : "own")},
       {"context", std::to_string(config.max_position_embeddings)}});
  return facts;
}

// Tokenizer and chat template, which a model may lack.
std::vector<Fact> text_facts(const fs::path& folder, const ModelConfig& config) {
  const auto said = [](const auto& action) -> std::string {
    try {
      return action();
    } catch (const Error& error) {
      return error.what();
    }
  };
  return {{"tokenizer", said([&] {
             const auto tokenizer = load_tokenizer(folder);
             check_vocabulary(*tokenizer, config.vocab_size, folder.string());
             return fmt::format("{} tokens", tokenizer->vocabulary_size());
           })},
          {"chat template", said([&]() -> std::string {
             if (!has_chat_template(folder)) return "none";
             static_cast<void>(load_chat_template(folder, "2026-01-01"));  // any day: nothing is laid out
             return "there, and qad can lay messages out with it";
           })}};
}

}  // namespace

void inspect_checkpoint(const fs::path& file, std::ostream& print) {
  const CheckpointContent content = load_checkpoint(file);
  std::vector<Fact> facts = {{"checkpoint", file.string() + ", whole"}, {"written by", content.program}};
  for (const auto& [name, text] : content.texts) {
    if (name == "recipe")
      facts.push_back(
          {"recipe", fmt::format("kind {}", enum_name(parse_recipe(text, file.string() + ": recipe").kind))});
    else facts.push_back({name, text});
  }
  for (const auto& [name, number] : content.numbers)
    if (!name.starts_with(kScale)) facts.push_back({name, text_of(number)});
  print << text_of(facts);
  print_scales(content, print);

  std::vector<TensorLine> tensors;
  for (const auto& [name, tensor] : content.tensors)
    tensors.push_back({name, std::string(name_of(tensor.dtype())), tensor.shape().text(), tensor.size(),
                       static_cast<std::int64_t>(tensor.bytes())});
  print_tensors(tensors, print);
}

void inspect_safetensors(const fs::path& path, std::ostream& print) {
  check_exported_file(path);
  const SafetensorsFile file(path);
  std::vector<Fact> facts = {{"safetensors", path.string()}};
  for (const auto& [key, value] : file.metadata()) facts.push_back({key, value});
  print << text_of(facts);
  std::vector<TensorLine> tensors;
  for (const SafetensorsInfo& info : file.tensors()) tensors.push_back(tensor_line(info));
  print_tensors(tensors, print);
}

void inspect_gguf(const fs::path& path, std::ostream& print) {
  check_exported_file(path);
  const MappedFile file(path, "a GGUF file");
  const GgufContents contents = parse_gguf(file.bytes(), path.string());
  std::vector<Fact> facts = {{"GGUF", path.string()}};
  for (const auto& [key, value] : contents.metadata) facts.push_back({key, text_of(value)});
  print << text_of(facts);
  print_tensors(tensor_lines(contents), print);
}

void inspect_model(const fs::path& folder, std::ostream& print) {
  const std::size_t files_as_written = check_export(folder);
  std::vector<TensorLine> tensors;
  if (fs::exists(folder / kGgufFile)) {
    const MappedFile file(folder / kGgufFile, "a GGUF file");
    tensors = tensor_lines(parse_gguf(file.bytes(), (folder / kGgufFile).string()));
  } else {
    const SafetensorsFolder files(folder);
    for (const SafetensorsFile& file : files.files())
      for (const SafetensorsInfo& info : file.tensors()) tensors.push_back(tensor_line(info));
  }
  ExportedWeights weights;
  for (const TensorLine& line : tensors) {
    weights.values += static_cast<double>(line.elements);
    weights.bits += 8 * static_cast<double>(line.bytes);
  }
  std::vector<Fact> facts = {{"model", folder.string()}};
  if (files_as_written > 0)
    facts.push_back({"files", fmt::format("{}, each as the export wrote it", files_as_written)});
  std::string layers, refusal;
  try {
    const ModelConfig config = read_hf_config(folder);
    for (Fact& fact : config_facts(config)) facts.push_back(std::move(fact));
    const bool packed = is_packed_export(folder);
    if (packed) {
      const ExportModel model = read_export(folder);
      weights = {};
      layers = "\n" + export_table(model, weights).text();
      static_cast<void>(make_exported_model(model));
    } else {
      check_model(folder);
    }
    facts.push_back({"weights", text_of(weights)});
    for (Fact& fact : text_facts(folder, config)) facts.push_back(std::move(fact));
    facts.push_back({"qad can", packed ? "eval, generate" : "use it as a teacher, as a student and in eval, generate"});
  } catch (const Error& error) {
    refusal = error.what();
    facts.push_back({"qad can", "not use it, see below"});
  }
  print << text_of(facts) << layers;
  print_tensors(tensors, print);
  if (!refusal.empty()) throw Error({.who = folder.string(), .got = refusal});
}

}  // namespace qad
