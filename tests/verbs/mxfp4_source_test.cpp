// Models whose weights are in MXFP4 as gpt-oss keeps them: read as the BF16 numbers that they are, and quantized to
// NVFP4 without loss where the scales allow.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/files/safetensors_writer.h"
#include "qad/formats/element.h"
#include "qad/layouts/read_export.h"
#include "tests/bad_input/refusal.h"

namespace qad {
namespace {

namespace fs = std::filesystem;
using testing::Arguments;
using testing::Outcome;
using testing::Workplace;

ModelConfig model_of_experts() {
  ModelConfig config = testing::wide_config();
  config.model_type = "qwen3_moe";
  config.qk_norm = true;
  config.experts = ExpertsConfig{.num_experts = 4, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
  return config;
}

struct Blocks {
  std::vector<std::uint8_t> codes, scales;
};
// Rounds values to MXFP4, and packs them.
Blocks packed(Tensor& values) {
  constexpr std::int64_t kBlock = 32;
  Blocks result;
  for (std::int64_t begin = 0; begin < values.size(); begin += kBlock) {
    float* const block = values.data() + begin;
    float largest = 0;
    for (std::int64_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::abs(block[i]));
    const int exponent = std::ilogb(largest) - 2;
    result.scales.push_back(static_cast<std::uint8_t>(exponent + 127));
    for (std::int64_t i = 0; i < kBlock; ++i) {
      const std::uint32_t code = kE2M1.encode(std::ldexp(block[i], -exponent));
      if (i % 2 == 0) result.codes.push_back(static_cast<std::uint8_t>(code));
      else result.codes.back() = static_cast<std::uint8_t>(result.codes.back() | code << 4);
      block[i] = std::ldexp(kE2M1.value(code), exponent);
    }
  }
  return result;
}

std::map<std::string, Tensor> weights_of(const LanguageModel& model) {
  std::map<std::string, Tensor> weights;
  for (const ParameterPointer& parameter : const_cast<LanguageModel&>(model).parameters())
    weights[parameter->name] = parameter->operand().values().expand();
  return weights;
}

bool is_projection(const std::string& name) { return name.ends_with("proj.weight"); }

// A workplace whose teacher keeps its projections in MXFP4, experts stacked; `values` are what they stand for.
class Mxfp4Source : public Workplace {
 public:
  explicit Mxfp4Source(const ModelConfig& config) : Workplace(config) {
    std::vector<SafetensorsEntry> entries;
    std::map<std::string, Tensor> dense;
    std::map<std::string, Blocks> blocks;
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (auto& [name, value] : weights_of(*load_model(teacher(), WeightType::bf16))) {
      Tensor tensor = value.clone();
      if (!is_projection(name)) {
        dense[name] = tensor.to(DType::bf16);
      } else {
        const Blocks own = packed(tensor);
        const std::string where = place_of(name);
        Blocks& all = blocks[where];
        // Names are in order, but up comes after gate in a tensor of both: the file has gates first.
        all.codes.insert(all.codes.end(), own.codes.begin(), own.codes.end());
        all.scales.insert(all.scales.end(), own.scales.begin(), own.scales.end());
        std::vector<std::int64_t>& shape = shapes[where];
        if (shape.empty()) shape = {0, tensor.shape().cols() / 32};
        shape[0] += tensor.shape().rows();
      }
      values[name] = tensor;
    }
    for (const auto& [name, tensor] : dense) {
      const auto extents = tensor.shape().extents();
      entries.push_back({name,
                         "BF16",
                         {extents.begin(), extents.end()},
                         {reinterpret_cast<const std::byte*>(tensor.data<std::uint16_t>()), tensor.bytes()}});
    }
    for (const auto& [name, one] : blocks) {
      std::vector<std::int64_t> shape = shapes[name];
      if (name.find(".experts.") != std::string::npos) {
        shape.insert(shape.begin(), config.experts->num_experts);
        shape[1] /= config.experts->num_experts;
      }
      entries.push_back({name + "_scales", "U8", shape, std::as_bytes(std::span(one.scales))});
      shape.push_back(16);
      entries.push_back({name + "_blocks", "U8", shape, std::as_bytes(std::span(one.codes))});
    }
    write_safetensors(teacher() / "model.safetensors", entries);
    auto json = nlohmann::ordered_json::parse(read_file(teacher() / "config.json", "a config"));
    json["quantization_config"] = {{"quant_method", "mxfp4"}, {"modules_to_not_convert", {"lm_head"}}};
    write_file_atomically(teacher() / "config.json", json.dump());
  }

  std::map<std::string, Tensor> values;

 private:
  // Expert after expert, and in each gate before up: the order of their names.
  static std::string place_of(const std::string& name) {
    const std::size_t at = name.find(".experts.");
    if (at == std::string::npos) return name.substr(0, name.size() - std::string_view(".weight").size());
    const bool down = name.ends_with("down_proj.weight");
    return name.substr(0, at) + ".experts." + (down ? "down_proj" : "gate_up_proj");
  }
};

void expect_values(const std::map<std::string, Tensor>& got, const std::map<std::string, Tensor>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (const auto& [name, value] : wanted)  // as numbers: zeros may lose their signs
    EXPECT_TRUE(std::ranges::equal(got.at(name).span(), value.span())) << name;
}

TEST(Mxfp4, IsReadAsTheNumbersItStandsFor) {
  for (const ModelConfig& config : {testing::wide_config(), model_of_experts()}) {
    const Mxfp4Source work(config);
    expect_values(weights_of(*load_model(work.teacher(), WeightType::bf16)), work.values);
  }
}

TEST(Mxfp4, BecomesNvfp4WithoutLoss) {
  for (const ModelConfig& config : {testing::wide_config(), model_of_experts()}) {
    const Mxfp4Source work(config);
    const Outcome outcome = Workplace::start({"quantize", work.at("teacher"), "--preset", "nvfp4_w4a16", "--layout",
                                              "modelopt", "--out", work.at("out"), "calibrate.algorithm=mse"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto exported = make_exported_model(read_export(work.path("out")));
    expect_values(weights_of(*exported), work.values);
  }
}

TEST(Mxfp4, StudentsStartFromIt) {
  const Mxfp4Source work(testing::wide_config());
  ASSERT_NO_FATAL_FAILURE(work.run(work.recipe(), "run"));
}

TEST(Mxfp4, DamageIsNamed) {
  const Mxfp4Source work(testing::wide_config());
  const SafetensorsFile whole(work.teacher() / "model.safetensors");
  const std::string name = "model.layers.0.mlp.up_proj_scales";
  const auto write_with = [&](const std::function<bool(SafetensorsEntry&)>& keep) {
    std::vector<SafetensorsEntry> entries;
    for (const SafetensorsInfo& info : whole.tensors()) {
      SafetensorsEntry entry{info.name, info.dtype, {info.shape.begin(), info.shape.end()}, whole.bytes(info.name)};
      if (keep(entry)) entries.push_back(entry);
    }
    fs::create_directories(work.path("damaged"));
    fs::copy(work.teacher(), work.path("damaged"), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    write_safetensors(work.path("damaged/model.safetensors"), entries);
  };
  const auto expect_refused = [&](const std::string& word) {
    work.refused(
        {"quantize", work.at("damaged"), "--preset", "nvfp4_w4a16", "--layout", "modelopt", "--out", work.at("out")},
        ExitCode::failed, {name, word});
  };
  write_with([&](SafetensorsEntry& entry) { return entry.name != name; });
  expect_refused("got none");
  write_with([&](SafetensorsEntry& entry) {
    if (entry.name == name) entry.shape = {entry.shape[1], entry.shape[0]};
    return true;
  });
  expect_refused("expected shape [256, 4]");
}

}  // namespace
}  // namespace qad
