// What inspect says of each kind of file, and of damage.
#include "qad/verbs/inspect.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/verbs/run.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

using testing::expect_has;

namespace fs = std::filesystem;

std::string printed_by_inspect(const fs::path& file) {
  std::ostringstream out;
  EXPECT_EQ(verbs::inspect({file}, out), ExitCode::done);
  return out.str();
}

std::string inspect_error(const fs::path& file, std::string* told = nullptr) {
  std::ostringstream out;
  std::string message;
  try {
    verbs::inspect({file}, out);
  } catch (const Error& error) {
    message = error.what();
  }
  if (told != nullptr) *told = out.str();
  return message;
}

// Changes one byte in the middle.
void damage(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(fs::file_size(file) / 2));
  const int byte = stream.get();
  stream.seekp(-1, std::ios::cur);
  stream.put(static_cast<char>(byte ^ 1));
}

TEST(Inspect, ModelFolderAndSafetensors) {
  const testing::TinyRun run;
  expect_has(printed_by_inspect(run.teacher()), {"llama", "3", "258, tied head", "16 bits each",
                                                 "model.layers.*.mlp.down_proj.weight", "[32, 64]", "BF16"});
  expect_has(printed_by_inspect(run.teacher() / "model.safetensors"),
             {"model.embed_tokens.weight", "[258, 32]", "BF16"});

  const fs::path cut = run.path("cut.safetensors");
  fs::copy_file(run.teacher() / "model.safetensors", cut);
  fs::resize_file(cut, fs::file_size(cut) - 1);
  expect_has(inspect_error(cut), {"cut.safetensors"});
}

TEST(Inspect, SaysWhetherAModelCanBeUsedBeforeItIsLoaded) {
  const testing::TinyRun run;
  const fs::path model = run.path("model");
  fs::copy(run.teacher(), model);
  expect_has(printed_by_inspect(model), {"258 tokens", "chat template  none", "use it as a teacher"});
  write_file_atomically(model / "chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
  expect_has(printed_by_inspect(model), {"qad can lay messages out"});
  write_file_atomically(model / "chat_template.jinja", "{% for m in %}");
  expect_has(printed_by_inspect(model), {"chat_template.jinja:1"});

  const std::string config = read_file(model / "config.json", "test data");
  const auto refused = [&](const std::string& key, const std::string& value) {
    nlohmann::json changed = nlohmann::json::parse(config);
    changed[key] = nlohmann::json::parse(value);
    write_file_atomically(model / "config.json", changed.dump());
    std::string listed;
    const std::string message = inspect_error(model, &listed);
    expect_has(listed, {"not use it", "model.embed_tokens.weight"});
    return message;
  };
  expect_has(refused("model_type", "\"mamba\""), {"model_type", "mamba"});
  expect_has(refused("intermediate_size", "128"), {"gate_proj.weight", "[128, 32]", "[64, 32]"});
  expect_has(refused("num_hidden_layers", "4"), {"model.layers.3"});
}

TEST(Inspect, Recipes) {
  const testing::TinyRun run;
  expect_has(printed_by_inspect(run.recipe("export: [dense]\n")), {"kind", "qad", "3 steps of 4 sequences of 64 tokens",
                                                                   "nvfp4", "lm_head", "round pow2, from calibration"});
  const fs::path preset = testing::source_dir() / "recipes" / "presets" / "nvfp4_w4a4.yaml";
  expect_has(printed_by_inspect(preset), {"a part for recipes to import"});
  write_file_atomically(run.path("bad.yaml"), "kind: qad\ntrian: {}\n");
  expect_has(inspect_error(run.path("bad.yaml")), {"bad.yaml:2", "train"});
}

TEST(Inspect, RunCheckpointsAndExports) {
  const testing::TinyRun run;
  const fs::path folder = run.path("run");
  std::ostringstream told;
  ASSERT_EQ(verbs::run({run.recipe("export: [modelopt]\n"), {}, folder}, told), ExitCode::done);
  expect_has(printed_by_inspect(folder), {"planned_steps after 3 steps", "KL to teacher", "step-00000003.h5", "best.h5",
                                          "whole", "export modelopt"});
  const fs::path checkpoint = folder / "checkpoints" / "step-00000003.h5";
  expect_has(printed_by_inspect(checkpoint),
             {"whole", "kind qad", "step", "model.layers.0.self_attn.qkv_proj.weight", "calibration",
              "adamw/first/model.layers.*.mlp.up_proj.weight", "[64, 32]"});
  expect_has(printed_by_inspect(folder / "export" / "modelopt"),
             {"quantized layers", "model.layers.*.self_attn.q_proj", "nvfp4", "4.5", "U8", "F8_E4M3"});

  damage(checkpoint);
  expect_has(inspect_error(checkpoint), {"step-00000003.h5", "damaged"});
  std::string listed;
  expect_has(inspect_error(folder, &listed), {"step-00000003.h5", "damaged"});
  expect_has(listed, {"damaged", "whole"});
}

TEST(Inspect, WhatItDoesNotKnow) {
  const testing::TinyRun run;
  expect_has(inspect_error(run.path("text.txt")), {"text.txt", ".safetensors"});
  expect_has(inspect_error(run.path("nothing")), {"nothing there"});
}

}  // namespace
}  // namespace qad
