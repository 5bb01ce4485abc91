#include "qad/inspect/inspect_json.h"

#include <nlohmann/json.hpp>
#include <type_traits>
#include <variant>

#include "autograd/base/atomic_file.h"
#include "data/files/gguf.h"
#include "data/files/mapped_file.h"
#include "data/files/safetensors.h"
#include "models/families/hf_config.h"
#include "models/import/model_folder.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/inspect/run_files.h"
#include "qad/layouts/export_marker.h"
#include "qad/layouts/gguf.h"
#include "qad/layouts/read_export.h"
#include "qad/layouts/registry.h"
#include "qad/recipe/recipe.h"

namespace qad {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

Json start(const char* what, const fs::path& path) { return {{"what", what}, {"path", path.string()}}; }

Json tensor_json(const SafetensorsInfo& info) {
  return {{"name", info.name}, {"dtype", info.dtype}, {"shape", info.shape}, {"bytes", info.bytes()}};
}
Json tensor_json(const GgufInfo& info) {
  return {{"name", info.name}, {"dtype", std::string(info.type->name)}, {"shape", info.shape}, {"bytes", info.bytes}};
}

template <class Infos>
void add_tensors(Json& json, const Infos& infos) {
  for (const auto& info : infos) json["tensors"].push_back(tensor_json(info));
}

Json shape_json(const Shape& shape) {
  Json json = Json::array();
  for (int axis = 0; axis < shape.rank(); ++axis) json.push_back(shape[axis]);
  return json;
}

// Lists (a vocabulary, say) by their length.
Json value_json(const GgufValue& value) {
  return std::visit(
      [](const auto& one) -> Json {
        using T = std::decay_t<decltype(one)>;
        if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) return one;
        else return {{"values", one.size()}};
      },
      value);
}

Json config_json(const ModelConfig& config) {
  Json json = {{"model_type", config.model_type},
               {"num_hidden_layers", config.num_hidden_layers},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"num_attention_heads", config.num_attention_heads},
               {"num_key_value_heads", config.num_key_value_heads},
               {"head_dim", config.head_size()},
               {"vocab_size", config.vocab_size},
               {"tie_word_embeddings", config.tie_word_embeddings},
               {"max_position_embeddings", config.max_position_embeddings}};
  if (!config.layer_pattern.empty()) json["layer_pattern"] = config.layer_pattern;
  return json;
}

void add_recipe(Json& json, const Recipe& recipe) {
  json["kind"] = std::string(enum_name(recipe.kind));
  if (recipe.teacher) json["teacher"] = recipe.teacher->model;
  if (const Start start = recipe.row().start; start == Start::given || start == Start::teacher)
    json["student"] = recipe.student.model;
  if (recipe.row().steps != Steps::none) json["steps"] = recipe.train.steps;
  for (const ArmConfig& arm : recipe.arms)
    json["arms"].push_back({{"name", arm.name}, {"kind", std::string(enum_name(arm.kind))}, {"lr", arm.lr}});
}

Json states_json(const FileStates& states) {
  Json json = Json::array();
  for (const FileState& file : states.files)
    json.push_back({{"name", file.name}, {"path", file.path}, {"bytes", file.bytes}, {"state", file.state}});
  return json;
}

// The weights of a model, counted, and the bits they take.
struct CountedWeights {
  double values = 0, bits = 0;
};

Json layers_json(const ExportModel& model, CountedWeights& weights) {
  Json layers = Json::array();
  for (const ExportLinear& linear : model.linears) {
    if (!linear.weight) continue;
    const QuantizedTensor& weight = *linear.weight;
    const double bits = weight.format->bits_per_weight(weight.cols);
    weights.values += static_cast<double>(weight.rows * weight.cols);
    weights.bits += bits * static_cast<double>(weight.rows * weight.cols);
    layers.push_back({{"name", linear.name},
                      {"shape", {weight.rows, weight.cols}},
                      {"weights", std::string(weight.format->name)},
                      {"inputs", std::string(name_of(linear.input ? linear.input->format : nullptr))},
                      {"bits_per_weight", bits}});
  }
  for (const NamedTensor& tensor : model.dense) {
    weights.values += static_cast<double>(tensor.value.size());
    weights.bits += 8 * static_cast<double>(tensor.value.bytes());
  }
  return layers;
}

}  // namespace

Json checkpoint_json(const fs::path& file) {
  const CheckpointContent content = load_checkpoint(file);
  Json json = start("checkpoint", file);
  json["program"] = content.program;
  for (const auto& [name, text] : content.texts) json["texts"][name] = text;
  for (const auto& [name, number] : content.numbers)
    std::visit([&, key = name](auto value) { json["numbers"][key] = value; }, number);
  for (const auto& [name, tensor] : content.tensors)
    json["tensors"].push_back({{"name", name},
                               {"dtype", std::string(name_of(tensor.dtype()))},
                               {"shape", shape_json(tensor.shape())},
                               {"bytes", tensor.bytes()}});
  return json;
}

Json safetensors_json(const fs::path& path) {
  check_exported_file(path);
  const SafetensorsFile file(path);
  Json json = start("safetensors", path);
  json["metadata"] = file.metadata();
  add_tensors(json, file.tensors());
  return json;
}

Json gguf_json(const fs::path& path) {
  check_exported_file(path);
  const MappedFile file(path, "a GGUF file");
  const GgufContents contents = parse_gguf(file.bytes(), path.string());
  Json json = start("gguf", path);
  for (const auto& [key, value] : contents.metadata) json["metadata"][key] = value_json(value);
  add_tensors(json, contents.tensors);
  return json;
}

Json recipe_json(const fs::path& file) {
  Json json = start("recipe", file);
  if (!check_recipe_file(file)) {
    json["kind"] = nullptr;
    return json;
  }
  const Recipe recipe = load_recipe(file);
  add_recipe(json, recipe);
  json["exports"] = recipe.export_formats;
  return json;
}

Json model_json(const fs::path& folder, std::string& refusal) {
  Json json = start("model", folder);
  json["files"] = check_export(folder);
  Json tensors = Json::object();
  if (fs::exists(folder / kGgufFile)) {
    const MappedFile file(folder / kGgufFile, "a GGUF file");
    add_tensors(tensors, parse_gguf(file.bytes(), (folder / kGgufFile).string()).tensors);
  } else {
    const SafetensorsFolder files(folder);
    for (const SafetensorsFile& file : files.files()) add_tensors(tensors, file.tensors());
  }
  try {
    json["config"] = config_json(read_hf_config(folder));
    CountedWeights weights;
    if (is_packed_export(folder)) {
      const ExportModel model = read_export(folder);
      json["quantized_layers"] = layers_json(model, weights);
      static_cast<void>(make_exported_model(model));
    } else {
      for (const Json& tensor : tensors["tensors"]) {
        double values = 1;
        for (const Json& extent : tensor["shape"]) values *= extent.get<double>();
        weights.values += values;
        weights.bits += 8 * tensor["bytes"].get<double>();
      }
      check_model(folder);
    }
    json["parameters"] = static_cast<std::int64_t>(weights.values);
    json["bits_per_weight"] = weights.bits / weights.values;
  } catch (const Error& error) {
    refusal = error.what();
  }
  json["usable"] = refusal.empty();
  if (!refusal.empty()) json["refusal"] = refusal;
  json["tensors"] = tensors["tensors"];
  return json;
}

Json run_json(const RunFolder& folder, std::string& damage) {
  const Recipe recipe = read_recipe(folder);
  Json json = start("run", folder.path);
  add_recipe(json, recipe);
  const bool finished = fs::exists(folder.summary());
  json["finished"] = finished;
  const FileStates checkpoints = checkpoint_states(folder, recipe);
  FileStates exports;
  if (finished) {
    exports = export_states(folder, read_summary(folder.summary()));
    json["summary"] = Json::parse(read_file(folder.summary(), "the summary of a run"));
  }
  json["checkpoints"] = states_json(checkpoints);
  json["exports"] = states_json(exports);
  damage = checkpoints.damage.empty() ? exports.damage : checkpoints.damage;
  return json;
}

}  // namespace qad
