// Tensors that no layer reads, heads for several tokens at once and layers behind the last, go along into every export.
#include "models/import/passengers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/files/safetensors.h"
#include "data/files/safetensors_writer.h"
#include "tests/bad_input/refusal.h"
#include "tests/support/hybrid_models.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

struct Extra {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::size_t bytes;
};
const std::vector<Extra> kExtras = {{"model.layers.2.mlp.gate.weight", "BF16", {4, 8}, 64},
                                    {"mtp.fc.weight", "BF16", {8, 16}, 256},
                                    {"mtp.layers.0.experts.weight", "F8_E4M3", {4, 4}, 16},
                                    {"mtp.norm.weight", "F32", {8}, 32},
                                    {"mtp.positions", "I64", {3}, 24}};

std::vector<std::byte> bytes_of(const Extra& extra) {
  std::vector<std::byte> bytes(extra.bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>((7 * i + extra.bytes) % 113);
  return bytes;
}

void add_passengers(const fs::path& folder) {
  const SafetensorsFolder files(folder);
  std::vector<std::vector<std::byte>> held;
  std::vector<SafetensorsEntry> entries;
  for (const std::string& name : files.names()) {
    const auto bytes = files.bytes(name);
    held.emplace_back(bytes.begin(), bytes.end());
    entries.push_back({name, files.info(name).dtype, files.info(name).shape, {}});
  }
  for (const Extra& extra : kExtras) {
    held.push_back(bytes_of(extra));
    entries.push_back({extra.name, extra.dtype, extra.shape, {}});
  }
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].bytes = held[i];
  write_safetensors(folder / "model.safetensors", entries);
}

void expect_passengers(const fs::path& folder) {
  const SafetensorsFolder files(folder);
  for (const Extra& extra : kExtras) {
    ASSERT_TRUE(files.has(extra.name)) << folder << " " << extra.name;
    EXPECT_EQ(files.info(extra.name).dtype, extra.dtype) << extra.name;
    EXPECT_EQ(files.info(extra.name).shape, extra.shape) << extra.name;
    EXPECT_TRUE(std::ranges::equal(files.bytes(extra.name), bytes_of(extra))) << folder << " " << extra.name;
  }
}

TEST(Passengers, AreToldByTheirNames) {
  ModelConfig config;
  config.num_hidden_layers = 3;
  for (const char* name : {"mtp.fc.weight", "model.mtp.norm.weight", "model.layers.3.enorm.weight",
                           "backbone.layers.61.x", "layers.4.y", "model.language_model.layers.12.z"})
    EXPECT_TRUE(is_passenger(name, config)) << name;
  for (const char* name : {"model.layers.2.mlp.experts.9.up_proj.weight", "model.norm.weight", "layers.0.layers.7.x",
                           "lm_head.weight", "model.sublayers.9.x", "model.layers.9", "model.layers.x.y"})
    EXPECT_FALSE(is_passenger(name, config)) << name;
}

TEST(Passengers, GoAlongIntoEveryExportAndTheNextOne) {
  ModelConfig config = testing::tiny_config();
  config.hidden_size = 64;  // for the blocks of GGUF
  config.num_hidden_layers = 2;
  const Workplace work{config};
  add_passengers(work.path("teacher"));
  const fs::path recipe = work.recipe("export: [dense, modelopt, compressed_tensors, gguf]\n");
  work.run(recipe, "run");
  for (const char* layout : {"dense", "modelopt", "compressed_tensors"})
    expect_passengers(work.path("run/export") / layout);
  const auto json = [&](const char* file) { return nlohmann::json::parse(read_file(work.path(file), "")); };
  const auto excluded = json("run/export/modelopt/hf_quant_config.json")["quantization"]["exclude_modules"];
  const auto ignored = json("run/export/compressed_tensors/config.json")["quantization_config"]["ignore"];
  for (const char* name : {"mtp.fc", "mtp.layers.0.experts", "model.layers.2.mlp.gate"}) {
    EXPECT_TRUE(std::ranges::find(excluded, name) != excluded.end()) << name;
    EXPECT_TRUE(std::ranges::find(ignored, name) != ignored.end()) << name;
  }
  EXPECT_FALSE(std::ranges::find(excluded, "mtp.norm") != excluded.end());

  work.run(recipe, "again", {"teacher.model=" + work.at("run/export/dense"), "export=[modelopt]"});
  expect_passengers(work.path("again/export/modelopt"));
  const Outcome words = Workplace::start({"generate", work.at("again/export/modelopt"), "--max-tokens", "3"});
  EXPECT_EQ(words.exit_code, 0) << words.err;
}

TEST(Passengers, OfAModelThatIsCutStayBehindWithAWord) {
  const Workplace work;
  add_passengers(work.path("teacher"));
  auto config = nlohmann::json::parse(read_file(work.path("teacher/config.json"), ""));
  config["pad_token_id"] = 7;
  work.write("teacher/config.json", config.dump());
  work.run(work.recipe(), "run",
           {"kind=prune", "quantize.rules=[]", "prune={intermediate_size: 32}", "train.steps=1", "export=[dense]"});
  EXPECT_FALSE(SafetensorsFolder(work.path("run/export/dense")).has("mtp.norm.weight"));
  EXPECT_EQ(nlohmann::json::parse(read_file(work.path("run/export/dense/config.json"), ""))["pad_token_id"], 7);
  testing::expect_has(read_file(work.path("run/log.txt"), ""), {"tensors that would go along, ", "stay behind"});
}

TEST(Passengers, AreNoLayersThatAPatternLost) {
  const Workplace work;
  const ModelConfig config = testing::small_hybrid("nemotron_h");
  save_model(work.path("hybrid"), *initialize_model(config, 1), DType::bf16);
  auto json = nlohmann::json::parse(read_file(work.path("hybrid/config.json"), ""));
  std::string pattern = json["hybrid_override_pattern"];
  pattern.pop_back();
  json["hybrid_override_pattern"] = pattern;
  for (const char* key : {"num_hidden_layers", "layers_block_type"}) json.erase(key);
  work.write("hybrid/config.json", json.dump());
  work.refused({"quantize", work.at("hybrid"), "--preset", "nvfp4_w4a16", "--out", work.at("out")}, testing::kFailed,
               {"expected no layer behind the", "config.json's pattern", "cut off?"});
}

}  // namespace
}  // namespace qad
