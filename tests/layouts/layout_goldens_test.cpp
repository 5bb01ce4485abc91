// Layers as the packages whose layouts they are pack and decode them (scripts/make_layout_goldens.py): the same bytes
// come out of our quantizer and exporters, and the same weights out of theirs.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "qad/formats/quantize.h"
#include "qad/layouts/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/error_of.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

using Json = nlohmann::json;
using testing::error_of;
using testing::expect_mentions;

const Json& goldens() {
  static const Json json =
      Json::parse(read_file(testing::source_dir() / "tests/layouts/golden/layers.json", "golden bytes"));
  return json;
}

std::string unhex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

Tensor floats(const std::string& hex, const Shape& shape) {
  const std::string bytes = unhex(hex);
  const Tensor tensor(shape);
  EXPECT_EQ(bytes.size(), tensor.bytes());
  std::memcpy(tensor.raw(), bytes.data(), tensor.bytes());
  return tensor;
}

// A model of one layer p.
ExportModel model_of(const std::string& format, const Json& golden) {
  const Shape shape{golden["shape"][0], golden["shape"][1]};
  const Tensor weight = floats(golden["weight"], shape);
  auto codes = QuantizedTensor::allocate(block_format(format), shape.rows(), shape.cols(), 1.0f);
  static_cast<void>(quantize(weight.data(), codes));
  ExportModel model;
  model.config_json = "{}";
  model.linears.push_back({"p", "", codes, {}});
  return model;
}

const char* layout_of(const std::string& format) { return format == "nf4_g64" ? "bitsandbytes" : "compressed_tensors"; }

TEST(LayoutGoldens, OurBytesAreThoseOfThePackages) {
  for (const auto& [format, golden] : goldens().items()) {
    const ExportFiles files = exporter(layout_of(format)).pack(model_of(format, golden));
    EXPECT_EQ(files.tensors.size(), golden["tensors"].size()) << format;
    for (const FileTensor& tensor : files.tensors) {
      const auto found = golden["tensors"].find(tensor.name.substr(2));
      ASSERT_NE(found, golden["tensors"].end()) << format << " " << tensor.name;
      EXPECT_EQ(testing::bytes_of(tensor.data), unhex(found->get<std::string>())) << format << " " << tensor.name;
    }
  }
}

TEST(LayoutGoldens, WhatIsReadBackIsWhatThePackagesDecode) {
  for (const auto& [format, golden] : goldens().items()) {
    const Exporter& layout = exporter(layout_of(format));
    const ExportModel back = layout.unpack(layout.pack(model_of(format, golden)));
    ASSERT_EQ(back.linears.size(), 1u);
    EXPECT_EQ(back.linears[0].weight->format->name, format);
    EXPECT_EQ(testing::bytes_of(dequantized(*back.linears[0].weight)), unhex(golden["decoded"].get<std::string>()))
        << format;
  }
}

// What unpack says of the golden layer after `damage`.
std::string said_of(const std::string& format, const std::function<void(ExportFiles&)>& damage) {
  const Exporter& layout = exporter(layout_of(format));
  ExportFiles files = layout.pack(model_of(format, goldens()[format]));
  damage(files);
  return error_of([&] { static_cast<void>(layout.unpack(files)); });
}

FileTensor& golden_tensor(ExportFiles& files, const std::string& name) {
  for (FileTensor& tensor : files.tensors)
    if (tensor.name == name) return tensor;
  ADD_FAILURE() << name;
  return files.tensors.front();
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  ASSERT_NE(place, std::string::npos) << from;
  text.replace(place, from.size(), to);
}

TEST(LayoutGoldens, OtherKindsOfCompressedTensorsAreRefusedByWhatTheyAre) {
  const auto with_config = [](const std::string& from, const std::string& to) {
    return said_of("int4_g128", [&](ExportFiles& files) { replace(files.texts["config.json"], from, to); });
  };
  expect_mentions(with_config(R"("group_size": 128)", R"("group_size": 32)"),
                  {"config.json: p: ", "got weights int of 4 bits by group of 32, inputs as they are"});
  expect_mentions(with_config(R"("symmetric": true)", R"("symmetric": false)"), {"asymmetric"});
  expect_mentions(with_config(R"("num_bits": 4)", R"("num_bits": 3)"), {"int of 3 bits"});
  expect_mentions(with_config("Linear", "re:q$"), {"config.json: p: expected a group of config_groups"});
  EXPECT_EQ(with_config("Linear", "re:p$"), "no error");
  expect_mentions(with_config("config_groups", "groups"), {"config.json: p: expected a group of config_groups"});
}

TEST(LayoutGoldens, DamagedLayersNameTheTensor) {
  const auto changed = [](const std::string& format, const std::string& tensor,
                          const std::function<void(FileTensor&)>& change) {
    return said_of(format, [&](ExportFiles& files) {
      FileTensor& file = golden_tensor(files, tensor);
      file.data = file.data.clone();
      change(file);
    });
  };
  const auto missing = [](FileTensor& tensor) { tensor.name = "x"; };
  expect_mentions(changed("int4_g128", "p.weight_shape", missing),
                  {"p.weight_shape: expected a tensor of type I64, got none"});
  expect_mentions(changed("int4_g128", "p.weight_scale", missing), {"p.weight_scale", "none"});
  expect_mentions(changed("int8", "p.weight_shape", [](FileTensor& t) { t.data.data<std::int64_t>()[1] = 41; }),
                  {"p.weight_packed: expected shape [3, 11], got [3, 10]"});
  expect_mentions(changed("int8", "p.weight_shape", [](FileTensor& t) { t.data.data<std::int64_t>()[0] = -3; }),
                  {"p.weight_shape", "above 0"});
  expect_mentions(changed("int8", "p.weight_scale", [](FileTensor& t) { t.data.data()[1] = -1.0f; }),
                  {"p.weight_scale", "a negative one or NaN"});
  expect_mentions(changed("int4_g128", "p.weight_scale",
                          [](FileTensor& t) {
                            t = {t.name, "F32", Tensor::full(t.data.shape(), 0.1f)};
                          }),
                  {"p.weight_scale: expected values that bf16 holds exactly"});
  EXPECT_EQ(changed("int4_g128", "p.weight_scale",
                    [](FileTensor& t) {
                      t = {t.name, "F32", Tensor::full(t.data.shape(), 0.25f)};
                    }),
            "no error");
  const std::string state = "p.weight.quant_state.bitsandbytes__nf4";
  const auto state_with = [&](const std::string& from, const std::string& to) {
    return changed("nf4_g64", state, [&](FileTensor& t) {
      std::string text = testing::bytes_of(t.data);
      replace(text, from, to);
      t.data = Tensor({std::ssize(text)}, DType::u8);
      std::memcpy(t.data.raw(), text.data(), text.size());
    });
  };
  expect_mentions(state_with("64", "128"), {state.c_str(), "expected nf4 in blocks of 64"});
  expect_mentions(state_with("[3, 128]", "[4, 128]"), {"p.weight: expected 256 bytes of codes, got 192"});
  expect_mentions(state_with("[3, 128]", "[4, 96]"), {state.c_str(), "rows of whole blocks of 64"});
  expect_mentions(state_with("}", R"(, "nested_blocksize": 256})"), {state.c_str(), "only NF4 with FP32 scales"});
  expect_mentions(state_with("{", "["), {state.c_str(), "no JSON object"});
  expect_mentions(changed("nf4_g64", "p.weight.quant_map", [](FileTensor& t) { t.data.data()[3] = 0.5f; }),
                  {"p.weight.quant_map: expected the sixteen values of NF4"});
  expect_mentions(changed("nf4_g64", "p.weight.absmax", [](FileTensor& t) { t.name = "p.weight.nested_absmax"; }),
                  {"p: expected a layer in NF4", "only NF4"});
}

}  // namespace
}  // namespace qad
